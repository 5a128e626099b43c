// AWS: STS AssumeRoleWithWebIdentity, a form that is answered in XML. The credentials may outlive the assertion by hours.
import { checkAudience, checkEndpoint, checkRegion, checkRoleArn, checkSessionName, createSecondsCheck } from '../formats.ts';
import type { Credential, Parameters, Provider, ProviderRequest, Refusal, RequestInput, Variables } from './provider.ts';

const API_VERSION = '2011-06-15';
const GLOBAL_ENDPOINT = 'https://sts.amazonaws.com/';

export const AWS: Provider = {
  name: 'aws',
  label: 'AWS',
  parameters: [
    { name: 'role_arn', placeholder: 'arn:aws:iam::…:role/…', about: 'role to assume', isRequired: true, check: checkRoleArn },
    { name: 'audience', placeholder: 'audience', about: "a client ID of the role's identity provider, if it is not the issuer", isRequired: false, check: checkAudience },
    { name: 'region', placeholder: 'region', about: 'the STS endpoint to use, and AWS_REGION for commands (default: the global endpoint)', isRequired: false, check: checkRegion },
    { name: 'duration_seconds', placeholder: 'seconds', about: 'life of the credentials, 900 to 43200 (default: 3600)', isRequired: false, check: createSecondsCheck(900, 43_200) },
    { name: 'session_name', placeholder: 'name', about: 'role session name, as CloudTrail shows it (default: your e-mail)', isRequired: false, check: checkSessionName },
    { name: 'sts_endpoint', placeholder: 'URL', about: 'another STS endpoint (a VPC endpoint, say)', isRequired: false, check: checkEndpoint },
  ],
  setupExample: 'vouch setup aws --role-arn arn:aws:iam::123456789012:role/developer --region eu-central-1',
  locate,
  chooseDialect: () => 'sts',
  buildRequest,
  // STS says of the first that a retry may help: it could not fetch the issuer's keys.
  passingCodes: { IDPCommunicationError: 'network', Throttling: 'rateLimited', ThrottlingException: 'rateLimited' },
  suggestChecks,
  print: printForProcess,
  composeVariables,
};

function locate({ sts_endpoint: endpoint, region }: Parameters): string {
  if (endpoint !== undefined) return endpoint;
  if (region === undefined) return GLOBAL_ENDPOINT;
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`;
}

function buildRequest({ parameters, assertion, claims }: RequestInput): ProviderRequest {
  return {
    headers: {},
    fields: {
      Action: 'AssumeRoleWithWebIdentity',
      Version: API_VERSION,
      RoleArn: parameters['role_arn'] ?? '',
      RoleSessionName: parameters['session_name'] ?? nameSession(claims.subject),
      DurationSeconds: parameters['duration_seconds'] ?? '3600',
      WebIdentityToken: assertion,
    },
  };
}

/** CloudTrail shows this name: the e-mail, with what STS does not take replaced. */
function nameSession(subject: string): string {
  return subject.replace(/[^\w+=,.@-]/g, '-').slice(0, 64).padEnd(2, '-');
}

/** The `credential_process` format of the AWS SDKs and CLI. */
function printForProcess({ secrets, expiresAt }: Credential): string {
  return JSON.stringify({
    Version: 1,
    AccessKeyId: secrets['access_key_id'],
    SecretAccessKey: secrets['secret_access_key'],
    SessionToken: secrets['session_token'],
    ...(expiresAt === undefined ? {} : { Expiration: new Date(expiresAt).toISOString() }),
  });
}

function composeVariables({ secrets, expiresAt }: Credential, { region }: Parameters): Variables {
  return {
    set: {
      AWS_ACCESS_KEY_ID: secrets['access_key_id'] ?? '',
      AWS_SECRET_ACCESS_KEY: secrets['secret_access_key'] ?? '',
      AWS_SESSION_TOKEN: secrets['session_token'] ?? '',
      // Lets the SDKs say "expired" instead of sending a dead key.
      ...(expiresAt === undefined ? {} : { AWS_CREDENTIAL_EXPIRATION: new Date(expiresAt).toISOString() }),
      ...(region === undefined ? {} : { AWS_REGION: region }),
    },
    // A profile wins over keys in some SDKs; the last is read before AWS_SESSION_TOKEN.
    unset: ['AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_SECURITY_TOKEN'],
    remarks: [],
  };
}

function suggestChecks({ code, parameters, claims }: Refusal): readonly string[] {
  const role = parameters['role_arn'] ?? '';
  const host = claims.issuer.replace(/^https:\/\//, '');
  const provider = `check that IAM has an identity provider for exactly "${claims.issuer}" with the audience (client ID) "${claims.audience}", in the account of the role`;
  switch (code) {
    case 'InvalidIdentityToken':
    case 'IDPRejectedClaim':
      return [provider, 'check that the issuer answers from the public internet, within 5 s and without a redirect: `vouch doctor aws`'];
    case 'ExpiredTokenException':
      return ['check the clocks of this machine and of the issuer: STS allows 5 minutes', 'run `vouch doctor aws`'];
    case 'AccessDenied':
      return [
        `check the trust policy of ${role}: its Principal is the identity provider of ${host}, its conditions hold for ${host}:aud = "${claims.audience}" and ${host}:sub = "${claims.subject}"`,
        'evaluate it here: `vouch doctor aws --rule trust-policy.json`',
      ];
    case 'ValidationError':
      return [`check the role's maximum session duration against --duration-seconds, and ${role} itself`];
    default:
      return [provider, 'run `vouch doctor aws`'];
  }
}
