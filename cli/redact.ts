// Text that came from elsewhere is cleaned here before a person sees it.

const MAX_QUOTED_LENGTH = 300;
const TOKEN_PATTERNS = [
  // JWTs: three parts, or the first two of a cut one.
  /\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g,
  // Provider keys and tokens: sk-..., sk-ant-...
  /\bsk-[\w-]{8,}/g,
];

/** Replaces everything that looks like a token by `[redacted]`: the last guard, not the only one. */
export function redactTokens(text: string): string {
  return TOKEN_PATTERNS.reduce((result, pattern) => result.replace(pattern, '[redacted]'), text);
}

/**
 * Makes a sentence of another party fit for a terminal: no control or formatting characters (they could rewrite
 * the screen), at most 300 characters, and none of the `secrets` that were sent to that party.
 */
export function quoteSafely(text: string, secrets: readonly string[] = []): string {
  const withoutSecrets = secrets
    .filter((secret) => secret.length > 0)
    .reduce((result, secret) => result.replaceAll(secret, '[redacted]'), text);
  const plain = makePrintable(redactTokens(withoutSecrets)).trim();
  return plain.length > MAX_QUOTED_LENGTH ? `${plain.slice(0, MAX_QUOTED_LENGTH)}…` : plain;
}

/** Replaces control and formatting characters, which could rewrite the screen or the order of what is read, by a space. */
export function makePrintable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
