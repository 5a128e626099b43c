// The providers that `vouch setup` and `vouch credential` know.
import { ANTHROPIC } from './anthropic.ts';
import { AWS } from './aws.ts';
import { CUSTOM } from './custom.ts';
import { OPENAI } from './openai.ts';
import { OPENROUTER } from './openrouter.ts';
import type { Provider } from './provider.ts';

export const PROVIDERS: readonly Provider[] = [ANTHROPIC, OPENAI, AWS, OPENROUTER, CUSTOM];

export function findProvider(name: string): Provider | undefined {
  return PROVIDERS.find((provider) => provider.name === name);
}
