// The providers that `vouch setup` and `vouch credential` know.
import { ANTHROPIC } from './anthropic.ts';
import { OPENAI } from './openai.ts';
import type { Provider } from './provider.ts';

export const PROVIDERS: readonly Provider[] = [ANTHROPIC, OPENAI];

export function findProvider(name: string): Provider | undefined {
  return PROVIDERS.find((provider) => provider.name === name);
}
