// Usage: refreshing_child.ts URL... ; reads a refresh token as a line, refreshes with it ten times at once, round the URLs,
// and says as JSON what came.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const urls = process.argv.slice(2);
const CALLS = 10;

async function refresh(url: string, token: string): Promise<{ status: number; error?: string; successor?: string }> {
  const form = { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: token };
  for (;;) {
    const answer = await fetch(`${url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
    const body = (await answer.json()) as { refresh_token?: string; error?: string };
    // As a client does that is told to come back.
    if (answer.status === 503) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      continue;
    }
    return { status: answer.status, ...(body.error === undefined ? {} : { error: body.error }), ...(body.refresh_token === undefined ? {} : { successor: body.refresh_token }) };
  }
}

process.stdout.write('ready\n');
for await (const token of createInterface({ input: process.stdin })) {
  const answers = await Promise.all(Array.from({ length: CALLS }, (_, call) => refresh(urls[call % urls.length]!, token)));
  process.stdout.write(`${createHash('sha256').update(token).digest('hex')}: ${JSON.stringify(answers)}\n`);
}
