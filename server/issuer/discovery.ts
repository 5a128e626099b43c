import { renderDocument, type Document } from '../http/document.ts';
import { GRANT_TYPE, SCOPES, SIGNING_ALGORITHMS, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { PROOF_ALGORITHMS } from './proof.ts';
import { ROUTES } from './routes.ts';

/** The claims that our ID tokens may carry, of both kinds. A test compares the list with what tokens hold. */
export const CLAIMS = [
  'iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'auth_time', 'amr', 'nonce', 'email', 'email_verified', 'hd', 'act', 'grant_id', 'vouch_uid',
] as const;

/** How a client may authenticate at the token endpoint. */
export const CLIENT_AUTHENTICATION = ['none', 'client_secret_basic', 'private_key_jwt'] as const;

/**
 * The metadata of OpenID Connect Discovery 3 and RFC 8414 2: only what works. From a constant and not from a request, so
 * that no Host header can change a word of it.
 */
export function renderDiscovery(issuer: string, rings: readonly SigningAlgorithm[]): Document {
  const metadata = {
    issuer,
    authorization_endpoint: issuer + ROUTES.authorization,
    token_endpoint: issuer + ROUTES.token,
    userinfo_endpoint: issuer + ROUTES.userinfo,
    jwks_uri: issuer + ROUTES.jwks,
    device_authorization_endpoint: issuer + ROUTES.deviceAuthorization,
    revocation_endpoint: issuer + ROUTES.revocation,
    end_session_endpoint: issuer + ROUTES.endSession,
    pushed_authorization_request_endpoint: issuer + ROUTES.pushedAuthorizationRequest,
    scopes_supported: SCOPES,
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: Object.values(GRANT_TYPE),
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: SIGNING_ALGORITHMS.filter((alg) => rings.includes(alg)),
    token_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    token_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
    revocation_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    revocation_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
    code_challenge_methods_supported: ['S256'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    claim_types_supported: ['normal'],
    claims_supported: CLAIMS,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
    authorization_response_iss_parameter_supported: true,
  };
  return renderDocument(metadata, 'public, max-age=3600');
}
