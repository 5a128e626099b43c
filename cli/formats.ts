// What a well-formed value looks like. Each check returns undefined, or the rest of a sentence that begins with
// the value's name ("--organization-id must be …"). The value itself is never quoted: it may be a pasted secret.

export type Check = (value: string) => string | undefined;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const OPAQUE_ID = /^[A-Za-z0-9._:~-]{1,255}$/;
const VISIBLE_ASCII_LONG = /^[\x21-\x7e]{1,4096}$/;
const OWN_FIELDS = ['grant_type', 'assertion', 'subject_token', 'subject_token_type', 'scope'];
const VISIBLE_ASCII = /^[\x21-\x7e]{1,256}$/;

/** Checks for `<prefix><letters, digits, _ or ->`, as the provider's console shows it. */
export function createIdCheck(prefix: string): Check {
  const pattern = new RegExp(`^${prefix}[A-Za-z0-9_-]{1,128}$`);
  return (value) => findPlaceholder(value) ?? (pattern.test(value) ? undefined : `must be ${prefix} followed by letters and digits`);
}

export const checkUuid: Check = (value) => (UUID.test(value) ? undefined : 'must be a UUID: 8-4-4-4-12 hexadecimal digits');

/** Anthropic also takes the literal `default` for the organisation's default workspace. */
export const checkWorkspaceId: Check = (value) => {
  if (value === 'default') return undefined;
  const fault = createIdCheck('wrkspc_')(value);
  return fault === undefined ? undefined : `${fault}, or the word default`;
};

/** A role's name in IAM, with the path that it may have. */
export const checkRoleArn: Check = (value) =>
  findPlaceholder(value) ?? (/^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]{1,576}$/.test(value) ? undefined : 'must be arn:aws:iam::<12 digits>:role/<name>');

export const checkRegion: Check = (value) => (/^[a-z]{2}(-[a-z]+)+-\d$/.test(value) ? undefined : 'must be a region such as eu-central-1');

/** STS: of an assumed role's session. */
export const checkSessionName: Check = (value) => (/^[\w+=,.@-]{2,64}$/.test(value) ? undefined : 'must be 2 to 64 letters, digits or _ + = , . @ -');

/** Whole seconds within limits. */
export function createSecondsCheck(least: number, most: number): Check {
  return (value) => (/^\d{1,6}$/.test(value) && Number(value) >= least && Number(value) <= most ? undefined : `must be a whole number from ${least} to ${most}`);
}

/** One of a few words. */
export function createChoiceCheck(choices: readonly string[]): Check {
  return (value) => (choices.includes(value) ? undefined : `must be ${choices.join(' or ')}`);
}

export const checkProfileName: Check = (value) => (/^[a-z0-9][a-z0-9_-]{0,31}$/.test(value) ? undefined : 'must be 1 to 32 small letters, digits, - or _');

export const checkVariableName: Check = (value) => (/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(value) ? undefined : 'must be the name of an environment variable');

/** Fields as a query writes them, none of which the exchange fills in itself. */
export const checkExtraFields: Check = (value) => {
  const fields = [...new URLSearchParams(value)];
  if (!VISIBLE_ASCII_LONG.test(value) || fields.some(([name, content]) => name === '' || content === '')) return 'must be name=value pairs joined by &, percent-encoded where need be';
  const own = fields.find(([name]) => OWN_FIELDS.includes(name));
  return own === undefined ? undefined : `must not hold ${own[0]}, which the exchange fills in`;
};

export const checkScope: Check = (value) => (/^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(value) ? undefined : 'must be words of visible ASCII, one space apart');

/** For identifiers whose form the provider does not publish. */
export const checkOpaqueId: Check = (value) =>
  findPlaceholder(value) ?? (OPAQUE_ID.test(value) ? undefined : 'must be 1 to 255 letters, digits or . _ : ~ - without spaces');

/** An audience of the issuer: 1-256 visible ASCII characters, compared byte for byte. */
export const checkAudience: Check = (value) =>
  VISIBLE_ASCII.test(value) ? undefined : 'must be 1 to 256 visible ASCII characters without spaces';

/** A place to which tokens may be sent: https, or http on this machine only. */
export const checkEndpoint: Check = (value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return 'must be an address that begins with https://';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (url.search !== '' || value.includes('?')) return 'must not hold a query (?)';
  if (url.hash !== '' || value.includes('#')) return 'must not hold a fragment (#)';
  if (url.protocol === 'http:' && !isLoopback(url)) return 'must begin with https:// (http is for this machine only: localhost, 127.0.0.1, [::1])';
  return undefined;
};

/** Whether a token may be printed and put into a header: visible ASCII only (RFC 6750 2.1 allows less). */
export function isBearerToken(token: string): boolean {
  return /^[\x21-\x7e]+$/.test(token);
}

/** Whether the URL names this machine, so that plain http exposes nothing (RFC 8252 8.3). */
export function isLoopback(url: URL): boolean {
  return url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(url.hostname);
}

/** Two spellings of one address compare equal: host in lower case, no trailing slash. */
export function normaliseUrl(value: string): string {
  return new URL(value).href.replace(/\/+$/, '');
}

function findPlaceholder(value: string): string | undefined {
  return value.includes('...') || value.includes('…') ? 'still holds the placeholder (...) of the instructions' : undefined;
}
