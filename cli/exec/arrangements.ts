// What each provider's SDKs re-read while a program runs, so that the program outlives its first token.
import ownPath from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProviderUse } from '../provider_credential.ts';
import { CliError } from '../errors.ts';
import { takeToken, type Credential, type Variables } from '../providers/provider.ts';
import type { ObtainedType } from '../types.ts';

export interface Arrangement {
  readonly variables: Variables;
  /** Written once. */
  readonly files: Readonly<Record<string, string>>;
  /** Written now and before each expiry. */
  readonly credential?: { readonly path: string; readonly render: (credential: Credential) => string };
  /** Written now, at half of its life, and after each use. */
  readonly idToken?: { readonly path: string };
}

/** What the files depend on, apart from whose they are. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** How paths are made. */
  readonly rules: Pick<typeof ownPath, 'join'>;
  /** Where Node and `vouch` are, for commands that are run later. */
  readonly nodePath: string;
  readonly launcherPath: string;
}

const THIS_MACHINE: Machine = { platform: process.platform, rules: ownPath, nodePath: process.execPath, launcherPath: fileURLToPath(new URL('../vouch.mjs', import.meta.url)) };

type Use = Pick<ProviderUse, 'places' | 'source'>;

/** Says which files of `folder` a program is to read, and by which variables it finds them. */
export function arrange(type: ObtainedType, folder: string, use: Use, machine: Machine = THIS_MACHINE): Arrangement {
  switch (type.provider.name) {
    case 'anthropic': return arrangeAnthropic(type, folder, use, machine);
    case 'openai': return arrangeOpenai(type, folder, machine);
    case 'aws': return arrangeAws(type, folder, use, machine);
    default: return arrangeFile(type, folder, machine);
  }
}

const PROFILE = 'vouch';

/**
 * A profile whose token cache vouch fills: the SDK finds a fresh token there, in however many processes, and makes an
 * exchange of its own only when the API refuses that one. The variables that would win over a profile go.
 */
function arrangeAnthropic({ parameters, provider }: ObtainedType, folder: string, { places }: Use, { rules }: Machine): Arrangement {
  const idToken = rules.join(folder, 'identity_token');
  const baseUrl = provider.locate(parameters, places).replace(/\/v1\/oauth\/token$/, '');
  const profile = {
    version: '1.0',
    base_url: baseUrl,
    organization_id: parameters['organization_id'],
    workspace_id: parameters['workspace_id'],
    authentication: {
      type: 'oidc_federation',
      federation_rule_id: parameters['federation_rule_id'],
      service_account_id: parameters['service_account_id'],
      identity_token: { source: 'file', path: idToken },
    },
  };
  return {
    variables: {
      set: { ANTHROPIC_CONFIG_DIR: folder, ANTHROPIC_PROFILE: PROFILE, ANTHROPIC_BASE_URL: baseUrl },
      unset: ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'],
      remarks: ["ANTHROPIC_AUTH_TOKEN is not set with --refresh: Anthropic's SDKs read the profile that is kept fresh instead"],
    },
    files: { [rules.join(folder, 'configs', `${PROFILE}.json`)]: JSON.stringify(profile, null, 2) },
    credential: {
      path: rules.join(folder, 'credentials', `${PROFILE}.json`),
      render: (credential) => JSON.stringify({
        version: '1.0', type: 'oauth_token', access_token: takeToken(credential),
        expires_at: credential.expiresAt === undefined ? null : Math.floor(credential.expiresAt / 1000),
      }),
    },
    idToken: { path: idToken },
  };
}

/** OpenAI's SDKs find no federation in the environment: a program names the file in its `workloadIdentity` option. */
function arrangeOpenai(type: ObtainedType, folder: string, machine: Machine): Arrangement {
  const idToken = machine.rules.join(folder, 'identity_token');
  const file = arrangeFile(type, folder, machine);
  return {
    ...file,
    variables: {
      set: { VOUCH_OPENAI_IDENTITY_TOKEN_FILE: idToken, VOUCH_OPENAI_TOKEN_FILE: file.credential.path },
      unset: ['OPENAI_API_KEY'],
      remarks: [
        "OPENAI_API_KEY is not set with --refresh: OpenAI's SDK refuses to start with both it and workload identity",
        'give VOUCH_OPENAI_IDENTITY_TOKEN_FILE to the workloadIdentity option, or read the bearer token from VOUCH_OPENAI_TOKEN_FILE',
      ],
    },
    idToken: { path: idToken },
  };
}

/** AWS's SDKs run a command whenever they need credentials: nothing has to be kept. */
function arrangeAws({ provider, profile, parameters, audience, variables }: ObtainedType, folder: string, { source }: Use, { platform, rules, nodePath, launcherPath }: Machine): Arrangement {
  const command = [
    nodePath, launcherPath, 'credential', provider.name, ...source.commandOptions,
    ...(profile === undefined ? [] : ['--profile', profile]), ...(audience === parameters['audience'] || audience === undefined ? [] : ['--audience', audience]),
  ];
  const { region } = parameters;
  const [config, shared] = [rules.join(folder, 'config'), rules.join(folder, 'credentials')];
  return {
    variables: {
      set: { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: shared, AWS_SDK_LOAD_CONFIG: '1', ...(region === undefined ? {} : { AWS_REGION: region }) },
      unset: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_CREDENTIAL_EXPIRATION', ...variables.unset],
      remarks: [],
    },
    files: {
      [config]: `[default]\ncredential_process = ${command.map((word) => quoteWord(word, platform)).join(' ')}\n${region === undefined ? '' : `region = ${region}\n`}`,
      [shared]: '',
    },
  };
}

// What a shell expands in double quotes; what begins a comment in such a file.
const NOT_QUOTABLE = { windows: /["%\r\n]|\s[;#]/, others: /["$`\\\r\n]|\s[;#]/ };

/** A word of credential_process, which some SDKs split and others hand to a shell. */
function quoteWord(word: string, platform: NodeJS.Platform): string {
  const isWindows = platform === 'win32';
  if (NOT_QUOTABLE[isWindows ? 'windows' : 'others'].test(word)) throw new CliError('usage', `${JSON.stringify(word)} cannot stand in AWS's configuration`, { hints: [`choose a path without ${isWindows ? 'quotes and %' : 'quotes, $, ` and \\'}, or leave out --refresh`] });
  return /^[a-z-]+$/.test(word) ? word : `"${word}"`;
}

/** Any other program: a file that always holds a token that works, beside the variable for the first. */
function arrangeFile({ provider, variables }: ObtainedType, folder: string, { rules }: Machine): Arrangement & Required<Pick<Arrangement, 'credential'>> {
  const path = rules.join(folder, 'token');
  const name = `VOUCH_${provider.name.toUpperCase()}_TOKEN_FILE`;
  return {
    variables: { ...variables, set: { ...variables.set, [name]: path }, remarks: [...variables.remarks, `${name} names a file that always holds a token that works`] },
    files: {},
    credential: { path, render: takeToken },
  };
}
