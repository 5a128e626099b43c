// Any other provider with a token endpoint: RFC 8693 or RFC 7523, as a form or as JSON. Named profiles keep several apart.
import { CliError } from '../errors.ts';
import { checkAudience, checkEndpoint, checkExtraFields, checkScope, checkVariableName, createChoiceCheck } from '../formats.ts';
import { takeToken, type Credential, type Parameters, type Provider, type ProviderRequest, type RequestInput, type Variables } from './provider.ts';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

export const CUSTOM: Provider = {
  name: 'custom',
  label: 'the custom provider',
  parameters: [
    { name: 'token_endpoint', placeholder: 'URL', about: 'where tokens are exchanged', isRequired: true, check: checkEndpoint },
    { name: 'audience', placeholder: 'audience', about: 'whom the ID token is for, if not the issuer', isRequired: false, check: checkAudience },
    { name: 'grant', placeholder: 'grant', about: 'token-exchange (RFC 8693) or jwt-bearer (RFC 7523) (default: token-exchange)', isRequired: false, check: createChoiceCheck(['token-exchange', 'jwt-bearer']) },
    { name: 'encoding', placeholder: 'encoding', about: 'form or json (default: form)', isRequired: false, check: createChoiceCheck(['form', 'json']) },
    { name: 'scope', placeholder: 'scope', about: 'scope to ask for', isRequired: false, check: checkScope },
    { name: 'fields', placeholder: 'name=value&…', about: 'further fields of the request', isRequired: false, check: checkExtraFields },
    { name: 'variable', placeholder: 'NAME', about: 'the variable that `vouch env` and `vouch exec` set', isRequired: false, check: checkVariableName },
  ],
  setupExample: 'vouch setup custom --profile databricks --token-endpoint https://dbc-01.cloud.databricks.com/oidc/v1/token \\\n      --audience databricks --scope all-apis --variable DATABRICKS_TOKEN',
  locate: (parameters) => parameters['token_endpoint'] ?? '',
  chooseDialect: (parameters) => (parameters['encoding'] === 'json' ? 'json' : 'form'),
  buildRequest,
  passingCodes: { temporarily_unavailable: 'network', slow_down: 'rateLimited' },
  suggestChecks: ({ claims }) => [
    `check that the provider expects the issuer "${claims.issuer}", the subject "${claims.subject}" and the audience "${claims.audience}" (that is what was sent)`,
    'run `vouch doctor custom`',
  ],
  print: takeToken,
  composeVariables,
};

function buildRequest({ parameters, assertion }: RequestInput): ProviderRequest {
  const isBearerGrant = parameters['grant'] === 'jwt-bearer';
  const grant: Record<string, string> = isBearerGrant
    ? { grant_type: JWT_BEARER, assertion }
    : { grant_type: TOKEN_EXCHANGE, subject_token: assertion, subject_token_type: JWT_TYPE };
  const extra = Object.fromEntries(new URLSearchParams(parameters['fields'] ?? ''));
  const { scope } = parameters;
  return { headers: {}, fields: { ...extra, ...grant, ...(scope === undefined ? {} : { scope }) } };
}

function composeVariables(credential: Credential, { variable }: Parameters): Variables {
  if (variable !== undefined) return { set: { [variable]: takeToken(credential) }, unset: [], remarks: [] };
  throw new CliError('configuration', 'no variable is recorded for the custom provider', { hints: ['record one with `vouch setup custom --variable NAME --force` and the other options'] });
}
