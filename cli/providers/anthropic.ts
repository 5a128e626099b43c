// Anthropic's workload identity federation: RFC 7523 jwt-bearer, as JSON.
import { CliError } from '../errors.ts';
import { checkAudience, checkEndpoint, checkUuid, checkWorkspaceId, createIdCheck } from '../formats.ts';
import { selectParameters, takeToken, type Credential, type Parameters, type PlaceVariables, type Provider, type ProviderRequest, type Refusal, type RequestInput, type Variables } from './provider.ts';

const DEFAULT_BASE_URL = 'https://api.anthropic.com';
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const BODY_PARAMETERS = ['federation_rule_id', 'organization_id', 'service_account_id', 'workspace_id'];
const BETAS = 'oauth-2025-04-20,oidc-federation-2026-04-01';

export const ANTHROPIC: Provider = {
  name: 'anthropic',
  label: 'Anthropic',
  parameters: [
    { name: 'federation_rule_id', placeholder: 'fdrl_…', about: 'federation rule', isRequired: true, check: createIdCheck('fdrl_') },
    { name: 'organization_id', placeholder: 'UUID', about: 'organization', isRequired: true, check: checkUuid },
    { name: 'service_account_id', placeholder: 'svac_…', about: 'service account of the rule', isRequired: true, check: createIdCheck('svac_') },
    { name: 'workspace_id', placeholder: 'wrkspc_…', about: 'workspace of the service account', isRequired: true, check: checkWorkspaceId },
    { name: 'audience', placeholder: 'audience', about: "the rule's expected audience, if it is not the issuer", isRequired: false, check: checkAudience },
    { name: 'base_url', placeholder: 'URL', about: `the API (default: ANTHROPIC_BASE_URL, else ${DEFAULT_BASE_URL})`, isRequired: false, check: checkEndpoint },
  ],
  setupExample: [
    'vouch setup anthropic --federation-rule-id fdrl_01AbCd --organization-id 00000000-0000-4000-8000-000000000000',
    '--service-account-id svac_01AbCd --workspace-id wrkspc_01AbCd',
  ].join(' \\\n      '),
  locate,
  chooseDialect: () => 'json',
  buildRequest,
  passingCodes: {},
  suggestChecks,
  print: takeToken,
  composeVariables,
};

function locate(parameters: Parameters, { anthropicBaseUrl }: PlaceVariables): string {
  const baseUrl = parameters['base_url'] ?? takeFromEnvironment(anthropicBaseUrl) ?? DEFAULT_BASE_URL;
  return `${baseUrl.replace(/\/+$/, '')}/v1/oauth/token`;
}

function buildRequest({ parameters, assertion }: RequestInput): ProviderRequest {
  return {
    headers: { 'anthropic-beta': BETAS },
    fields: { grant_type: GRANT_TYPE, assertion, ...selectParameters(parameters, BODY_PARAMETERS) },
  };
}

/** Precedence in the SDKs: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, then profiles and federation variables. */
function composeVariables(credential: Credential, parameters: Parameters): Variables {
  const baseUrl = parameters['base_url'];
  return {
    // A token of another place is worth nothing at the default one.
    set: { ANTHROPIC_AUTH_TOKEN: takeToken(credential), ...(baseUrl === undefined ? {} : { ANTHROPIC_BASE_URL: baseUrl }) },
    unset: ['ANTHROPIC_API_KEY'],
    remarks: [],
  };
}

function takeFromEnvironment(baseUrl: string | undefined): string | undefined {
  const fault = baseUrl === undefined ? undefined : checkEndpoint(baseUrl);
  if (fault === undefined) return baseUrl;
  throw new CliError('configuration', `ANTHROPIC_BASE_URL ${fault}`, { hints: ['unset it, or record the right one with `vouch setup anthropic --base-url ... --force` (with the other values)'] });
}

/** A denied assertion gets one fixed sentence; only the console knows the reason. */
function suggestChecks({ status, code, parameters, claims }: Refusal): readonly string[] {
  const isDenied = status === 401 || code === 'invalid_grant';
  if (!isDenied) return ['record the right values with `vouch setup anthropic`'];
  return [
    'the answer does not say why; Claude Console -> Settings -> Workload identity -> history shows the reason of each attempt',
    `check that rule ${parameters['federation_rule_id'] ?? ''} has the expected audience "${claims.audience}", which was sent (a rule that names none expects "${DEFAULT_BASE_URL}")`,
    `check that the rule's issuer is exactly "${claims.issuer}" and that its subject pattern matches "${claims.subject}"`,
    'evaluate the rule here, clause by clause: `vouch doctor anthropic --rule rule.json`',
    `if the history shows no attempt, the rule id or the organization id ${parameters['organization_id'] ?? ''} is wrong`,
  ];
}
