import { expect } from '@jest/globals';
import { ConfigError, loadConfig } from '../../server/config/config.ts';

/** The faults of an environment, each as `NAME what is wrong`; none when it is good. */
export function findFaults(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).faults.map(({ variable, message }) => `${variable} ${message}`);
  }
}
