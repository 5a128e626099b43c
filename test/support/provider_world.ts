import { startAnthropicEmulator, type AnthropicEmulator, type AnthropicEmulatorOptions } from './anthropic_emulator.ts';
import { startOpenAiEmulator, type OpenAiEmulator } from './openai_emulator.ts';

export const OPENAI_AUDIENCE = 'https://api.openai.com/v1';
export const ANTHROPIC_IDS = { rule: 'fdrl_test', organization: '00000000-0000-4000-8000-000000000001', serviceAccount: 'svac_test', workspace: 'wrkspc_test' };
export const OPENAI_IDS = { provider: 'wip_test', serviceAccount: 'sa_test' };

export interface ProviderWorld {
  readonly anthropic: AnthropicEmulator;
  readonly openai: OpenAiEmulator;
  readonly setupAnthropic: readonly string[];
  readonly setupOpenAi: readonly string[];
  close(): Promise<void>;
}

/** Both providers, as their admins would have set them up for the company's issuer; `audiences` says otherwise whom its tokens are for. */
export async function startProviderWorld(issuerUrl: string, subject: string, more: Partial<AnthropicEmulatorOptions> = {}, audiences: { readonly anthropic?: string; readonly openai?: string } = {}): Promise<ProviderWorld> {
  const { rule, organization, serviceAccount, workspace } = ANTHROPIC_IDS;
  const anthropic = await startAnthropicEmulator({
    issuers: [{ id: 'fdis_test', organizationId: organization, issuerUrl }],
    serviceAccounts: [{ id: serviceAccount, organizationId: organization, workspaceIds: [workspace] }],
    rules: [{ id: rule, organizationId: organization, issuerId: 'fdis_test', serviceAccountId: serviceAccount, match: { audience: audiences.anthropic ?? issuerUrl, subjectPrefix: subject }, workspaceIds: [workspace], tokenLifetimeSeconds: 600 }],
    ...more,
  });
  const openai = await startOpenAiEmulator({
    identityProviders: [{ id: OPENAI_IDS.provider, issuerUrl, audience: audiences.openai ?? OPENAI_AUDIENCE }],
    mappings: [{ identityProviderId: OPENAI_IDS.provider, serviceAccountId: OPENAI_IDS.serviceAccount, match: { sub: subject } }],
    ...(more.clock === undefined ? {} : { clock: more.clock }),
  });
  return {
    anthropic, openai,
    setupAnthropic: ['setup', 'anthropic', '--federation-rule-id', rule, '--organization-id', organization, '--service-account-id', serviceAccount, '--workspace-id', workspace, '--base-url', anthropic.url],
    setupOpenAi: ['setup', 'openai', '--identity-provider-id', OPENAI_IDS.provider, '--service-account-id', OPENAI_IDS.serviceAccount, '--audience', OPENAI_AUDIENCE, '--token-endpoint', `${openai.url}/oauth/token`],
    close: async () => {
      await Promise.all([anthropic.close(), openai.close()]);
    },
  };
}
