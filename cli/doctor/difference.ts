// Two texts that should be the same: where they first differ, in bytes, and what kind of difference it is.

/** A sentence about the first difference; undefined if they are the same, byte for byte. */
export function describeDifference(expected: string, found: string): string | undefined {
  if (expected === found) return undefined;
  const [left, right] = [Buffer.from(expected), Buffer.from(found)];
  let at = 0;
  while (at < left.length && left[at] === right[at]) at += 1;
  const where = `they differ from byte ${at + 1} on: ${describeByte(left, at)} is expected, ${describeByte(right, at)} is there`;
  const kind = nameDifference(expected, found);
  return kind === undefined ? where : `${where} (${kind})`;
}

function describeByte(bytes: Buffer, at: number): string {
  const byte = bytes[at];
  if (byte === undefined) return 'the end';
  const hex = `0x${byte.toString(16).padStart(2, '0')}`;
  return byte > 0x20 && byte < 0x7f ? `"${String.fromCharCode(byte)}" ${hex}` : hex;
}

function nameDifference(expected: string, found: string): string | undefined {
  if (expected.trim() === found.trim()) return 'white space at an end';
  if (expected.replace(/\/+$/, '') === found.replace(/\/+$/, '')) return 'a slash at the end';
  if (expected.toLowerCase() === found.toLowerCase()) return 'capital and small letters';
  if (expected.replace(/^https?:/, '') === found.replace(/^https?:/, '')) return 'http and https';
  if (expected.replace(/^https?:\/\//, '') === found.replace(/^https?:\/\//, '')) return 'the scheme is missing';
  if (stripPort(expected) === stripPort(found)) return 'a port';
  if (expected.normalize('NFKC') === found.normalize('NFKC')) return 'characters that look alike';
  return undefined;
}

function stripPort(text: string): string {
  return text.replace(/^(https?:\/\/[^/:]+):\d+/, '$1');
}
