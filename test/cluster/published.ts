import type { Relayed } from './proxy.ts';

/** Looks at every answer of discovery and the JWKS that passes the proxy. */
export interface PublicationCheck {
  readonly onAnswer: (answer: Relayed) => void;
  /** From now on until `until`, in milliseconds, every JWKS must hold `kid`: a token that it signed is alive. */
  readonly expectKey: (kid: string, until: number) => void;
  /** Answers seen, the most keys in one, and everything that was wrong. */
  report(): { readonly answers: number; readonly mostKeys: number; readonly faults: readonly string[] };
}

const DISCOVERY = '/.well-known/openid-configuration';
const JWKS = '/oauth/jwks';
const MOST_KEYS = 10;
const FEWEST_KEYS = 4; // an active key and a standby in each of two rings

/** What a public JWK of each kind consists of, and not a member more. */
const MEMBERS: Readonly<Record<string, string>> = { RSA: 'alg,e,kid,kty,n,use', EC: 'alg,crv,kid,kty,use,x,y' };

export function createPublicationCheck(issuer: () => string, maxAgeSeconds: number, describeInstance: (instance: number) => string): PublicationCheck {
  let answers = 0;
  let mostKeys = 0;
  const faults: string[] = [];
  const needed = new Map<string, { readonly since: number; until: number }>();
  const complain = ({ instance, path }: Relayed, fault: string) => {
    if (faults.length < 20) faults.push(`${new Date().toISOString()} instance ${instance} (${describeInstance(instance)}), ${path}: ${fault}`);
  };
  return {
    onAnswer: (answer) => {
      if (answer.path !== JWKS && answer.path !== DISCOVERY) return;
      answers += 1;
      if (answer.status !== 200) {
        complain(answer, `status ${answer.status}: ${answer.body.toString().slice(0, 200)}`);
        return;
      }
      if (answer.headers['content-type'] !== 'application/json') complain(answer, `content type ${String(answer.headers['content-type'])}`);
      if (!/^"[\w-]{20,}"$/.test(answer.headers.etag ?? '')) complain(answer, 'no strong ETag');
      const body = JSON.parse(answer.body.toString()) as { issuer?: string; keys?: Record<string, string>[] };
      if (answer.path === DISCOVERY) {
        if (body.issuer !== issuer()) complain(answer, `issuer ${String(body.issuer)}`);
        return;
      }
      const keys = body.keys ?? [];
      mostKeys = Math.max(mostKeys, keys.length);
      if (answer.headers['cache-control'] !== `public, max-age=${maxAgeSeconds}, stale-while-revalidate=60, stale-if-error=86400`) complain(answer, `caching ${String(answer.headers['cache-control'])}`);
      for (const fault of findFaults(keys)) complain(answer, fault);
      const kids = new Set(keys.map(({ kid }) => kid));
      for (const [kid, { since, until }] of needed) {
        if (until < Date.now()) needed.delete(kid);
        // What was asked before the first token was there may have been answered before it.
        else if (!kids.has(kid) && since < answer.askedAt) complain(answer, `lacks ${kid.slice(0, 6)}, which signed ${Math.round((Date.now() - since) / 1000)} s ago and whose tokens are alive for ${Math.round((until - Date.now()) / 1000)} s more`);
      }
    },
    expectKey: (kid, until) => {
      const known = needed.get(kid);
      if (known === undefined) needed.set(kid, { since: Date.now(), until });
      else known.until = Math.max(known.until, until);
    },
    report: () => ({ answers, mostKeys, faults }),
  };
}

function findFaults(keys: readonly Record<string, string>[]): string[] {
  const faults: string[] = [];
  if (keys.length > MOST_KEYS || keys.length < FEWEST_KEYS) faults.push(`${keys.length} keys`);
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) faults.push('a kid twice');
  for (const key of keys) {
    if (Object.keys(key).sort().join(',') !== MEMBERS[key.kty ?? '']) faults.push(`members ${Object.keys(key).join(',')}`);
    if (key.use !== 'sig') faults.push(`use ${String(key.use)}`);
  }
  return faults;
}
