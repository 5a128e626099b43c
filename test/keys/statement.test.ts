import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { toPublicJwk } from '../../server/crypto/jwk.ts';
import { signJws } from '../../server/crypto/jws.ts';
import { createStatements } from '../../server/keys/statement.ts';
import type { KeyRecord } from '../../server/storage/storage.ts';

const TYP = 'test+jwt';

test('a key that was just made is found though another was just looked for in vain, which is not asked for again at once', async () => {
  const records: KeyRecord[] = [];
  let loads = 0;
  const load = async () => {
    loads += 1;
    return { version: 1n, records: [...records], readAt: new Date() };
  };
  const nobody = () => {
    throw new TypeError('nothing is signed here');
  };
  const statements = createStatements(nobody, { load }, { isOurs: () => true });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicJwk = toPublicJwk(privateKey, 'ES256');
  const [strange, ours] = await Promise.all(['strange', publicJwk.kid].map((kid) => signJws({ alg: 'ES256', kid, typ: TYP }, { says: 'so' }, privateKey)));

  expect(await statements.verify(TYP, strange!)).toBeUndefined();
  records.push({
    kid: publicJwk.kid, ring: 'ES256', state: 'retired', publicJwk, sealed: undefined, proof: undefined, createdAt: new Date(), publishedVersion: 1n,
    requestedAt: undefined, activatedAt: undefined, retiringAt: undefined, endedAt: undefined,
  });
  expect(await statements.verify(TYP, ours!)).toEqual({ says: 'so' });
  expect(await statements.verify(TYP, strange!)).toBeUndefined();
  expect(loads).toBe(2);
});
