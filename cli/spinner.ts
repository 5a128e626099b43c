// A sign of life while somebody at a terminal waits; nothing at all anywhere else.
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 80;
// What is answered at once shows nothing.
const PATIENCE_MS = 400;
const CLEAR_LINE = '\r\u001B[2K';

/** Runs `work`; while it lasts and standard error is a terminal, a line there turns. It is gone before anything else is written. */
export async function withSpinner<T>(sentence: string, work: () => Promise<T>): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY) return work();
  const startedAt = performance.now();
  let frame = 0;
  const timer = setInterval(() => {
    if (performance.now() - startedAt < PATIENCE_MS) return;
    stderr.write(`${CLEAR_LINE}${FRAMES[(frame += 1) % FRAMES.length] ?? ''} ${sentence}`);
  }, FRAME_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (frame > 0) stderr.write(CLEAR_LINE);
  }
}
