// OpenAI's workload identity federation: RFC 8693 token exchange, as JSON.
import { checkAudience, checkEndpoint, checkOpaqueId } from '../formats.ts';
import { selectParameters, takeToken, type Credential, type Provider, type ProviderRequest, type Refusal, type RequestInput, type Variables } from './provider.ts';

const DEFAULT_TOKEN_ENDPOINT = 'https://auth.openai.com/oauth/token';
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

export const OPENAI: Provider = {
  name: 'openai',
  label: 'OpenAI',
  parameters: [
    { name: 'identity_provider_id', placeholder: 'wip_…', about: 'identity provider that stands for the issuer', isRequired: true, check: checkOpaqueId },
    { name: 'service_account_id', placeholder: 'sa_…', about: 'service account that the subject is mapped to', isRequired: true, check: checkOpaqueId },
    { name: 'audience', placeholder: 'audience', about: 'the audience recorded at OpenAI, if it is not the issuer', isRequired: false, check: checkAudience },
    { name: 'token_endpoint', placeholder: 'URL', about: `where tokens are exchanged (default: ${DEFAULT_TOKEN_ENDPOINT})`, isRequired: false, check: checkEndpoint },
  ],
  setupExample: 'vouch setup openai --identity-provider-id wip_01AbCd --service-account-id sa_01AbCd --audience https://api.openai.com/v1',
  locate: (parameters) => parameters['token_endpoint'] ?? DEFAULT_TOKEN_ENDPOINT,
  chooseDialect: () => 'json',
  buildRequest,
  passingCodes: {},
  suggestChecks,
  print: takeToken,
  composeVariables,
};

function buildRequest({ parameters, assertion }: RequestInput): ProviderRequest {
  const ids = selectParameters(parameters, ['identity_provider_id', 'service_account_id']);
  return { headers: {}, fields: { grant_type: GRANT_TYPE, subject_token: assertion, subject_token_type: JWT_TYPE, ...ids } };
}

function composeVariables(credential: Credential): Variables {
  return {
    set: { OPENAI_API_KEY: takeToken(credential) },
    unset: [],
    remarks: ["OPENAI_API_KEY holds the short-lived token, not a static key: it is the one variable from which OpenAI's SDKs take a bearer token"],
  };
}

function suggestChecks({ code, parameters, claims }: Refusal): readonly string[] {
  const provider = parameters['identity_provider_id'] ?? '';
  const account = parameters['service_account_id'] ?? '';
  const token = `check that identity provider ${provider} has the issuer "${claims.issuer}" and the audience "${claims.audience}" (that is what was sent)`;
  const mapping = `check that exactly one enabled mapping of ${provider} leads the subject "${claims.subject}" to service account ${account}`;
  if (code === 'invalid_subject_token') return [token, 'check that the issuer is reachable from the internet, so that OpenAI can fetch its signing keys', "if its JWKS was uploaded there: uploaded keys do not follow the issuer's rotations, so choose discovery, or upload it anew"];
  if (code === 'invalid_grant') return [mapping, token];
  return [token, mapping];
}
