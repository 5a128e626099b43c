/** Registered names of OAuth 2.0 and OpenID Connect. Words only: this file imports nothing. */

export const GRANT_TYPE = {
  authorizationCode: 'authorization_code',
  refreshToken: 'refresh_token',
  clientCredentials: 'client_credentials',
  /** RFC 8628 3.4 */
  deviceCode: 'urn:ietf:params:oauth:grant-type:device_code',
  /** RFC 8693 2.1 */
  tokenExchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const;

/** RFC 8693 3 */
export const TOKEN_TYPE = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const;

/** RFC 9068 2.1: the `typ` of a JWT access token. */
export const ACCESS_TOKEN_TYP = 'at+jwt';

/** Authentication method references (RFC 8176 2) that this issuer can state truthfully. */
export const AMR = {
  /** Possession of a key was proved; says nothing of where the key is kept. */
  possession: 'pop',
  /** The same, of a key that an attestation showed to be kept in hardware. */
  hardwareKey: 'hwk',
  /** The same, of a key that is known to be kept by software. */
  softwareKey: 'swk',
  /** The authenticator said, under its signature, that it asked for a PIN. */
  pin: 'pin',
  userPresence: 'user',
  /** The authenticator verified its user, so that a second factor went with the key. */
  multipleFactors: 'mfa',
} as const;

/** Signature algorithms (RFC 7518 3.1) that a ring may have. Never EdDSA: most providers refuse it. */
export const SIGNING_ALGORITHMS = ['RS256', 'ES256'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

export function isSigningAlgorithm(value: unknown): value is SigningAlgorithm {
  return SIGNING_ALGORITHMS.includes(value as SigningAlgorithm);
}

/** The scopes that a client may ask for. */
export const SCOPES = ['openid', 'email'] as const;

/** The scopes of the admin API, of which a token for `<issuer>/admin` may have some. */
export const ADMIN_SCOPES = ['keys:read', 'keys:write', 'audiences:read', 'audiences:write', 'accounts:read', 'accounts:write', 'audit:read'] as const;
export type AdminScope = (typeof ADMIN_SCOPES)[number];
