/** The shapes of values that cross the wire. Pure checks, no policy. */

/** An audience: 1-256 visible ASCII characters. Compared byte for byte everywhere, never normalised. */
export function isAudience(value: string): boolean {
  return /^[\x21-\x7e]{1,256}$/.test(value);
}

/** RFC 8707 2: an absolute URI without a fragment. */
export function isResourceIndicator(value: string): boolean {
  return isAudience(value) && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(value) && !value.includes('#') && URL.canParse(value);
}

/**
 * What may stand as `sub` of a federation token: an e-mail in lower case, ASCII, at most 127 bytes (Google's limit for a
 * subject), without white space and without `*` and `?`, which providers read as wildcards.
 */
export function isSubjectEmail(value: string): boolean {
  return (
    value.length <= 127 &&
    /^[a-z0-9!#$%&'+/=^_`{|}~.-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/.test(value) &&
    !/\.\.|^\.|\.@/.test(value)
  );
}

/** The part after the last `@`. */
export function domainOf(email: string): string {
  return email.slice(email.lastIndexOf('@') + 1);
}
