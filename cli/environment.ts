// The one place that reads environment variables; everything else is handed what it needs.
import type { Proxies } from './wire.ts';

export interface Environment {
  /** VOUCH_HOME: the folder to use instead of ~/.vouch. */
  readonly vouchHome: string | undefined;
  /** VOUCH_ISSUER: the issuer to sign in at, unless `--issuer` says otherwise. */
  readonly issuer: string | undefined;
  /** ANTHROPIC_BASE_URL: where Anthropic's API is, unless `vouch setup anthropic --base-url` said. */
  readonly anthropicBaseUrl: string | undefined;
  /** KUBERNETES_EXEC_INFO: what kubectl says to a plugin that it starts. */
  readonly kubernetesExecInfo: string | undefined;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not; ALL_PROXY stands in for the first two. */
  readonly proxies: Proxies;
  /** VOUCH_CA_FILE: certificates to trust, unless `--ca-file` names others. */
  readonly caFile: string | undefined;
  /** SHELL: what `vouch env` writes for. */
  readonly shell: string | undefined;
  /** Everything, for the commands that `vouch exec` starts and for what would shadow a credential. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Whether this is somebody's ssh session, with no screen of its own: SSH_CONNECTION, and neither DISPLAY nor WAYLAND_DISPLAY. */
  readonly isRemote: boolean;
  /** BROWSER: the command that opens an address. */
  readonly browser: string | undefined;
  /** NO_COLOR (any value) and TERM=dumb forbid colour. */
  readonly allowsColour: boolean;
  /** VOUCH_DEBUG: stack traces on failures. */
  readonly isDebugging: boolean;
}

/** Takes what vouch uses out of the process's environment; an empty variable counts as not set. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  return Object.freeze({
    vouchHome: takeSet(variables['VOUCH_HOME']),
    issuer: takeSet(variables['VOUCH_ISSUER']),
    anthropicBaseUrl: takeSet(variables['ANTHROPIC_BASE_URL']),
    kubernetesExecInfo: takeSet(variables['KUBERNETES_EXEC_INFO']),
    proxies: readProxies(variables),
    caFile: takeSet(variables['VOUCH_CA_FILE']),
    shell: takeSet(variables['SHELL']),
    variables,
    isRemote: takeSet(variables['SSH_CONNECTION']) !== undefined && takeSet(variables['DISPLAY']) === undefined && takeSet(variables['WAYLAND_DISPLAY']) === undefined,
    browser: takeSet(variables['BROWSER']),
    allowsColour: takeSet(variables['NO_COLOR']) === undefined && variables['TERM'] !== 'dumb',
    isDebugging: takeSet(variables['VOUCH_DEBUG']) !== undefined,
  });
}

function readProxies(variables: NodeJS.ProcessEnv): Proxies {
  const take = (name: string): string | undefined => takeSet(variables[name.toLowerCase()]) ?? takeSet(variables[name]);
  return { http: take('HTTP_PROXY') ?? take('ALL_PROXY'), https: take('HTTPS_PROXY') ?? take('ALL_PROXY'), none: take('NO_PROXY') };
}

function takeSet(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
