import type { Config } from './config/config.ts';
import { ROUTES } from './issuer/issuer.ts';

export interface Banner {
  readonly config: Config;
  readonly madeSecrets: readonly string[];
  readonly createdKeys: number;
  /** Undefined once there is an admin. */
  readonly invitation: { readonly link: string; readonly expiresAt: Date } | undefined;
}

/** What a person at the terminal needs to know, in a few lines on standard output. */
export function printBanner({ config, madeSecrets, createdKeys, invitation }: Banner): void {
  const { issuer, dataDir, databaseUrl, redisUrl } = config;
  const data = databaseUrl === undefined ? `${dataDir} (embedded; one process on one machine)` : `PostgreSQL and ${redisUrl === undefined ? 'memory' : 'Redis'}`;
  const lines = [
    '',
    'Vouch issuer is running.',
    '',
    `  issuer     ${issuer}`,
    `  discovery  ${issuer}${ROUTES.openidConfiguration}`,
    `  data       ${data}`,
    ...(createdKeys > 0 ? [`  keys       ${createdKeys} signing keys created and sealed`] : []),
    ...madeSecrets.map((file) => `  made       ${file} (mode 0600; keep it: the data cannot be opened without it)`),
    '',
    ...(invitation === undefined ? [] : describeInvitation(invitation)),
    '  Sign in from another terminal with: npx vouch login',
    '  Stop with Ctrl-C.',
    '',
  ];
  console.log(lines.join('\n'));
}

function describeInvitation({ link, expiresAt }: NonNullable<Banner['invitation']>): string[] {
  return [
    '  There is no admin yet. Open this link to enrol the first one with a passkey',
    `  (it works once, until ${expiresAt.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' })}):`,
    '',
    `  ${link}`,
    '',
  ];
}
