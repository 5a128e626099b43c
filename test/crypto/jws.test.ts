import { createPublicKey, randomBytes, type KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compactVerify, decodeProtectedHeader, importJWK, SignJWT } from 'jose';
import { generateSigningKeyPair, toPublicJwk } from '../../server/crypto/jwk.ts';
import { derToRaw, parseJws, rawToDer, signJws, verifyJws } from '../../server/crypto/jws.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../server/oauth2/vocabulary.ts';

const CLAIMS = { iss: 'https://vouch.example.com', sub: 'ada@example.com', 'ümläut': '→', iat: 1_700_000_000 };
const keys = new Map<SigningAlgorithm, KeyObject>();
beforeAll(async () => {
  for (const alg of SIGNING_ALGORITHMS) keys.set(alg, await generateSigningKeyPair(alg));
});

describe.each(SIGNING_ALGORITHMS)('%s', (alg) => {
  const header = { alg, kid: 'key-1', typ: 'JWT' };
  const keyOf = () => keys.get(alg)!;

  test('what is signed here, jose verifies', async () => {
    const token = await signJws(header, CLAIMS, keyOf());
    expect(decodeProtectedHeader(token)).toEqual(header);
    const { payload } = await compactVerify(token, await importJWK({ ...toPublicJwk(keyOf(), alg) }, alg), { algorithms: [alg] });
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(CLAIMS);
  });

  test('what jose signs, is verified here', async () => {
    const token = await new SignJWT(CLAIMS).setProtectedHeader(header).sign(await importJWK(keyOf().export({ format: 'jwk' }), alg));
    const jws = parseJws(token)!;
    expect(jws).toMatchObject({ header, claims: CLAIMS });
    expect(verifyJws(jws, createPublicKey(keyOf()))).toBe(true);
  });

  test('a signature by another key, over other bytes or of another length is none', async () => {
    const jws = parseJws(await signJws(header, CLAIMS, keyOf()))!;
    expect(verifyJws(jws, createPublicKey(await generateSigningKeyPair(alg)))).toBe(false);
    expect(verifyJws({ ...jws, signingInput: `${jws.signingInput.slice(0, -1)}A` }, createPublicKey(keyOf()))).toBe(false);
    for (const signature of [Buffer.alloc(0), Buffer.alloc(64), jws.signature.subarray(1), Buffer.concat([jws.signature, Buffer.from([0])]), randomBytes(jws.signature.length)]) {
      expect(verifyJws({ ...jws, signature }, createPublicKey(keyOf()))).toBe(false);
    }
  });

  test('every byte of a signature counts', async () => {
    const jws = parseJws(await signJws(header, CLAIMS, keyOf()))!;
    const publicKey = createPublicKey(keyOf());
    for (let at = 0; at < jws.signature.length; at += 7) {
      const signature = Buffer.from(jws.signature);
      signature[at]! ^= 1;
      expect(verifyJws({ ...jws, signature }, publicKey)).toBe(false);
    }
  });
});

test('200 ES256 signatures of ours, short integers among them, all pass jose', async () => {
  const key = keys.get('ES256')!;
  const publicKey = await importJWK({ ...toPublicJwk(key, 'ES256') }, 'ES256');
  for (let count = 0; count < 200; count += 1) {
    await compactVerify(await signJws({ alg: 'ES256', kid: 'k', typ: 'JWT' }, { count }, key), publicKey);
  }
});

describe('the two forms of an ECDSA signature', () => {
  /** 32 bytes that begin with `zeros` zeros: short integers, which DER writes without them. */
  const coordinate = fc.oneof(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.tuple(fc.integer({ min: 0, max: 31 }), fc.uint8Array({ minLength: 32, maxLength: 32 })).map(([zeros, bytes]) => bytes.fill(0, 0, zeros)),
  );

  test('turn into each other without loss', () => {
    fc.assert(
      fc.property(coordinate, coordinate, (r, s) => {
        const raw = Buffer.concat([r, s]);
        const der = rawToDer(raw)!;
        expect(der.equals(encodeDer(r, s))).toBe(true);
        expect(derToRaw(der).equals(raw)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([0, 63, 65, 128])('a raw signature of %i bytes has no other form', (length) => {
    expect(rawToDer(Buffer.alloc(length, 1))).toBeUndefined();
  });

  /** ECDSA-Sig-Value by way of BigInt: the shortest two's complement (X.690 8.3). */
  function encodeDer(...integers: Uint8Array[]): Buffer {
    const body = Buffer.concat(integers.map((bytes) => {
      const hex = BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString(16);
      const even = hex.length % 2 === 1 ? `0${hex}` : hex;
      const value = Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, 'hex');
      return Buffer.concat([Buffer.from([0x02, value.length]), value]);
    }));
    return Buffer.concat([Buffer.from([0x30, body.length]), body]);
  }
});

describe('taking a compact JWS apart', () => {
  const encode = (part: unknown) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
  const good = { alg: 'RS256', kid: 'key-1', typ: 'JWT' };
  const compact = (header: unknown, claims: unknown = {}) => `${encode(header)}.${encode(claims)}.c2ln`;

  test('gives its parts, and of the header no more than is known', () => {
    expect(parseJws(compact({ ...good, jku: 'https://evil.example', jwk: {} }, { sub: 'a' }))).toEqual({
      header: good, claims: { sub: 'a' }, signingInput: `${encode({ ...good, jku: 'https://evil.example', jwk: {} })}.${encode({ sub: 'a' })}`, signature: Buffer.from('sig'),
    });
  });

  test.each([
    ['alg none', compact({ ...good, alg: 'none' })],
    ['alg None', compact({ ...good, alg: 'None' })],
    ['alg HS256', compact({ ...good, alg: 'HS256' })],
    ['alg EdDSA', compact({ ...good, alg: 'EdDSA' })],
    ['alg PS256', compact({ ...good, alg: 'PS256' })],
    ['an alg that is a list', compact({ ...good, alg: ['RS256'] })],
    ['no alg', compact({ kid: 'key-1', typ: 'JWT' })],
    ['no kid', compact({ alg: 'RS256', typ: 'JWT' })],
    ['a kid that is a number', compact({ ...good, kid: 1 })],
    ['a typ that is a number', compact({ ...good, typ: 1 })],
    ['crit', compact({ ...good, crit: ['exp'] })],
    ['an empty crit', compact({ ...good, crit: [] })],
    ['b64 false (RFC 7797)', compact({ ...good, b64: false })],
    ['b64 true', compact({ ...good, b64: true })],
    ['two parts', compact(good).split('.').slice(0, 2).join('.')],
    ['four parts', `${compact(good)}.c2ln`],
    ['five parts', `${compact(good)}.c2ln.c2ln`],
    ['an empty signature', `${encode(good)}.${encode({})}.`],
    ['an empty payload', `${encode(good)}..c2ln`],
    ['an empty header', `.${encode({})}.c2ln`],
    ['padding', `${compact(good)}=`],
    ['base64 instead of base64url', `${compact(good)}+/`],
    ['a line break at the end', `${compact(good)}\n`],
    ['a space in front', ` ${compact(good)}`],
    ['a header that is no JSON', compact('{')],
    ['a header that is a list', compact([good])],
    ['a header that is null', compact('null')],
    ['claims that are no JSON', compact(good, 'hello')],
    ['claims that are a list', compact(good, [])],
    ['claims that are null', compact(good, 'null')],
    ['no text', ''],
  ])('gives nothing for %s', (_what, token) => {
    expect(parseJws(token)).toBeUndefined();
  });

  test('takes a header without typ, as oidc-provider writes an ID token’s', () => {
    expect(parseJws(compact({ alg: 'RS256', kid: 'key-1' }))?.header).toEqual({ alg: 'RS256', kid: 'key-1', typ: '' });
  });

  test('takes both algorithms of the rings, so that the refusals above are for their reason', () => {
    for (const alg of SIGNING_ALGORITHMS) expect(parseJws(compact({ ...good, alg }))?.header).toEqual({ ...good, alg });
  });
});
