// Reading a JWT without believing it.

export type Claims = Readonly<Record<string, unknown>>;

export interface DecodedJwt {
  readonly header: Claims;
  readonly claims: Claims;
}

/** Decodes a JWS in compact form (RFC 7515 7.1) whose header and payload are JSON objects; undefined for anything else. */
export function decodeJwt(token: string): DecodedJwt | undefined {
  const parts = token.split('.');
  const [header, claims] = parts.slice(0, 2).map(decodePart);
  return parts.length === 3 && header !== undefined && claims !== undefined ? { header, claims } : undefined;
}

export function decodeClaims(token: string): Claims | undefined {
  return decodeJwt(token)?.claims;
}

function decodePart(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url')));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}
