// OpenRouter's workload identity federation: RFC 8693 token exchange, as a form; the token lives 15 minutes at most.
import { checkAudience, checkEndpoint, checkUuid } from '../formats.ts';
import { selectParameters, takeToken, type Provider, type Refusal } from './provider.ts';

const DEFAULT_TOKEN_ENDPOINT = 'https://openrouter.ai/api/v1/oauth/token';
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

export const OPENROUTER: Provider = {
  name: 'openrouter',
  label: 'OpenRouter',
  parameters: [
    { name: 'federation_policy_id', placeholder: 'UUID', about: 'federation policy', isRequired: true, check: checkUuid },
    { name: 'audience', placeholder: 'audience', about: "the policy's audience, if it is not the issuer", isRequired: false, check: checkAudience },
    { name: 'token_endpoint', placeholder: 'URL', about: `where tokens are exchanged (default: ${DEFAULT_TOKEN_ENDPOINT})`, isRequired: false, check: checkEndpoint },
  ],
  setupExample: 'vouch setup openrouter --federation-policy-id 00000000-0000-4000-8000-000000000000',
  locate: (parameters) => parameters['token_endpoint'] ?? DEFAULT_TOKEN_ENDPOINT,
  chooseDialect: () => 'form',
  buildRequest: ({ parameters, assertion }) => ({
    headers: {},
    fields: {
      grant_type: GRANT_TYPE, subject_token: assertion, subject_token_type: JWT_TYPE, requested_token_type: ACCESS_TOKEN_TYPE, scope: 'inference',
      ...selectParameters(parameters, ['federation_policy_id']),
    },
  }),
  passingCodes: { temporarily_unavailable: 'network' },
  suggestChecks,
  print: takeToken,
  composeVariables: (credential) => ({
    set: { OPENROUTER_API_KEY: takeToken(credential) },
    unset: [],
    remarks: ['OPENROUTER_API_KEY holds the short-lived token, not a static key'],
  }),
};

/** Every refused token gets one message. */
function suggestChecks({ code, parameters, claims }: Refusal): readonly string[] {
  if (code !== 'invalid_grant') return ['record the right values with `vouch setup openrouter`'];
  return [
    `check that policy ${parameters['federation_policy_id'] ?? ''} has exactly the issuer "${claims.issuer}", the subject "${claims.subject}" and the audience "${claims.audience}" (that is what was sent)`,
    'it takes RS256 and ES256 only: ask an admin of the issuer how the audience is signed',
  ];
}
