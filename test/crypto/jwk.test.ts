import { describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint } from 'jose';
import { computeThumbprint, generateSigningKeyPair, toPublicJwk } from '../../server/crypto/jwk.ts';

/** RFC 7638 3.1 */
const VECTOR = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
  alg: 'RS256',
  kid: '2011-04-29',
};

describe('the thumbprint', () => {
  test('of the key in RFC 7638 3.1 is the one given there', () => {
    expect(computeThumbprint(VECTOR)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  test.each(['RS256', 'ES256'] as const)('of a new %s key is the one that jose computes, of either half', async (alg) => {
    const key = await generateSigningKeyPair(alg);
    const publicJwk = toPublicJwk(key, alg);
    expect(publicJwk.kid).toBe(await calculateJwkThumbprint({ ...publicJwk }));
    expect(computeThumbprint(key.export({ format: 'jwk' }))).toBe(publicJwk.kid);
  });
});

describe('a new key', () => {
  test('of RS256 is RSA of 2048 bits with e = 65537', async () => {
    const key = await generateSigningKeyPair('RS256');
    expect({ type: key.asymmetricKeyType, ...key.asymmetricKeyDetails }).toEqual({ type: 'rsa', modulusLength: 2048, publicExponent: 65537n });
  });

  test('of ES256 is on P-256', async () => {
    const key = await generateSigningKeyPair('ES256');
    expect({ type: key.asymmetricKeyType, ...key.asymmetricKeyDetails }).toEqual({ type: 'ec', namedCurve: 'prime256v1' });
  });
});

describe('the published form', () => {
  test('of an RSA key has exactly kty, use, alg, kid, n and e', async () => {
    const key = await generateSigningKeyPair('RS256');
    const { n } = key.export({ format: 'jwk' });
    const { kid, ...rest } = toPublicJwk(key, 'RS256');
    expect(rest).toEqual({ kty: 'RSA', use: 'sig', alg: 'RS256', n, e: 'AQAB' });
    expect(kid).toMatch(/^[\w-]{43}$/);
  });

  test('of a P-256 key has exactly kty, use, alg, kid, crv, x and y', async () => {
    const key = await generateSigningKeyPair('ES256');
    const { x, y } = key.export({ format: 'jwk' });
    const { kid, ...rest } = toPublicJwk(key, 'ES256');
    expect(rest).toEqual({ kty: 'EC', use: 'sig', alg: 'ES256', crv: 'P-256', x, y });
    expect(kid).toMatch(/^[\w-]{43}$/);
  });
});

test('no kid begins with a dash, which a command line would take for an option', async () => {
  const kids = await Promise.all(Array.from({ length: 400 }, async () => toPublicJwk(await generateSigningKeyPair('ES256'), 'ES256').kid));
  expect(kids.filter((kid) => kid.startsWith('-'))).toEqual([]);
});
