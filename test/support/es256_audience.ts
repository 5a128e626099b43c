import { query } from './services.ts';

/** An audience whose tokens the ES256 ring signs; the issuer's own have RS256. */
export const ES256_AUDIENCE = 'https://provider.example';

/** Past the admin API: for every person, with the shortest life that a record can ask for; where no token may live that long, the issuer caps it. */
export async function registerEs256Audience(databaseUrl: string): Promise<void> {
  await query(databaseUrl, `INSERT INTO audiences (name, kind, preset, algorithm, lifetime_seconds, mode, is_enabled, scopes, allow, deny, clients, created_at, updated_at)
    VALUES ($1, 'federation', 'custom', 'ES256', 60, 'enforce', true, '{}', '{people}', '{}', '{}', now(), now())`, [ES256_AUDIENCE]);
}
