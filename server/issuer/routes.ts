/** Where the protocol answers. One table, from which discovery, oidc-provider and the front all read. */
export const ROUTES = {
  openidConfiguration: '/.well-known/openid-configuration',
  authorizationServer: '/.well-known/oauth-authorization-server',
  jwks: '/oauth/jwks',
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  userinfo: '/oauth/userinfo',
  revocation: '/oauth/revoke',
  pushedAuthorizationRequest: '/oauth/par',
  endSession: '/oauth/logout',
  deviceAuthorization: '/oauth/device',
  /** Where a person types the code that a device shows (RFC 8628 3.3): short, since it is typed too. */
  device: '/device',
  /** For command lines that came before token exchange. */
  sessionCredentials: '/v1/credentials/aws/token',
} as const;

/** The methods that a path of oidc-provider's takes; undefined when the path is none of its. */
export function findMethods(path: string): readonly string[] | undefined {
  if (path === ROUTES.authorization) return ['GET', 'POST'];
  if (/^\/oauth\/authorize\/[A-Za-z0-9_-]{1,64}$/.test(path)) return ['GET'];
  if (path === ROUTES.device) return ['GET', 'POST'];
  if (/^\/device\/[A-Za-z0-9_-]{1,64}$/.test(path)) return ['GET'];
  if (path === ROUTES.token || path === ROUTES.deviceAuthorization || path === ROUTES.revocation || path === ROUTES.pushedAuthorizationRequest) return ['POST'];
  if (path === ROUTES.endSession) return ['GET', 'POST'];
  // Also where oidc-provider sends a browser that signs in as somebody else: ends the former session.
  if (path === `${ROUTES.endSession}/confirm`) return ['POST'];
  if (path === `${ROUTES.endSession}/success`) return ['GET'];
  return undefined;
}
