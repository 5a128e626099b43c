/** Why somebody of this hosted domain may not sign in a device: part of a sentence; undefined when they may. `*` forbids it to everybody. */
export function findDeviceFault(hostedDomain: string | undefined, forbidden: readonly string[]): string | undefined {
  if (forbidden.includes('*')) return 'this issuer does not allow device login';
  return hostedDomain !== undefined && forbidden.includes(hostedDomain) ? `device login is not allowed for accounts of ${hostedDomain}` : undefined;
}
