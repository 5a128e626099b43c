import { describe, expect, test } from '@jest/globals';
import { createFetchCounter, familyOf, prefixOf } from '../../server/keys/verifiers.ts';

describe('the family of a user agent', () => {
  test.each([
    ['Go-http-client/2.0', 'Go-http-client'],
    ['python-requests/2.31.0', 'python-requests'],
    ['Mozilla/5.0 (X11; Linux x86_64)', 'Mozilla'],
    ['Java-http-client/21.0.4', 'Java-http-client'],
    ['Java/17.0.1', 'Java'],
    ['curl/8.5.0', 'curl'],
    ['jose-go', 'jose-go'],
    ['okhttp-4.12.0', 'okhttp'],
    ['aws-sdk-nodejs_1.2', 'aws-sdk-nodejs'],
    ['node', 'node'],
    ['x'.repeat(5_000), 'x'.repeat(40)],
    ['', 'unnamed'],
    ['(compatible)', 'unnamed'],
    ['/1.0', 'unnamed'],
    ['ünicode/1', 'unnamed'],
    ['\u0000<script>', 'unnamed'],
    [undefined, 'unnamed'],
  ])('%j is %j', (userAgent, family) => {
    expect(familyOf(userAgent)).toBe(family);
    expect(familyOf(userAgent)).toBe(family); // the second time from memory
  });
});

describe('the network of an address', () => {
  test.each([
    ['192.0.2.77', '192.0.2.0/24'],
    ['::ffff:192.0.2.77', '192.0.2.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8:1::6', '2001:db8:1::/48'],
    ['2001:db8::1', '2001:db8:0::/48'],
    ['::1', '0:0:0::/48'],
    ['fe80::1%eth0', 'fe80:0:0::/48'],
    [undefined, 'unknown'],
    ['', 'unknown'],
    ['localhost', 'unknown'],
    ['192.0.2', 'unknown'],
    ['192.0.2.77.1', 'unknown'],
    ['/run/vouch.sock', 'unknown'],
  ])('%j is %j', (address, network) => {
    expect(prefixOf(address)).toBe(network);
  });

  test('two addresses of one network are one, of two networks are two', () => {
    expect(prefixOf('2001:db8:1::1')).toBe(prefixOf('2001:db8:1:ffff::1'));
    expect(prefixOf('2001:db8:1::1')).not.toBe(prefixOf('2001:db8:2::1'));
    expect(prefixOf('192.0.2.1')).not.toBe(prefixOf('192.0.3.1'));
  });
});

describe('the counter', () => {
  const fetchOf = (userAgent: string, version = 1n, isNotModified = false) => ({ userAgent, address: '192.0.2.1', version, isNotModified });

  test('counts a class once, with its newest version and what was unchanged', () => {
    const counter = createFetchCounter();
    for (const fetch of [fetchOf('curl/8', 3n), fetchOf('curl/9', 5n, true), fetchOf('curl/8', 4n)]) counter.count(fetch);
    expect(counter.take()).toEqual([{ id: 'curl 192.0.2.0/24', family: 'curl', network: '192.0.2.0/24', lastVersion: 5n, fetches: 3, notModified: 1 }]);
    expect(counter.take()).toEqual([]);
  });

  test('holds 500 classes and puts whatever is new beyond them into one more', () => {
    const counter = createFetchCounter();
    const nameOf = (index: number) => `agent${String.fromCharCode(97 + (index % 26), 97 + (Math.floor(index / 26) % 26), 97 + Math.floor(index / 676))}`;
    for (let index = 0; index < 3_000; index += 1) counter.count(fetchOf(nameOf(index), BigInt(index)));
    counter.count(fetchOf(nameOf(0), 9_000n));
    const taken = counter.take();
    expect(taken).toHaveLength(501);
    expect(taken.find(({ family }) => family === 'others')).toEqual({ id: 'others others', family: 'others', network: 'others', lastVersion: 2_999n, fetches: 2_500, notModified: 0 });
    expect(taken[0]).toMatchObject({ family: nameOf(0), fetches: 2, lastVersion: 9_000n });
    expect(taken.reduce((sum, { fetches }) => sum + fetches, 0)).toBe(3_001);
  });

  test('puts back what could not be written, added to what was counted since', () => {
    const counter = createFetchCounter();
    counter.count(fetchOf('curl', 7n));
    counter.count(fetchOf('wget', 2n));
    const lost = counter.take();
    counter.count(fetchOf('curl', 6n, true));
    counter.restore(lost);
    expect(counter.take()).toEqual([
      { id: 'curl 192.0.2.0/24', family: 'curl', network: '192.0.2.0/24', lastVersion: 7n, fetches: 2, notModified: 1 },
      { id: 'wget 192.0.2.0/24', family: 'wget', network: '192.0.2.0/24', lastVersion: 2n, fetches: 1, notModified: 0 },
    ]);
  });

  test('what was put back does not change under whoever holds it', () => {
    const counter = createFetchCounter();
    counter.count(fetchOf('curl', 7n));
    const lost = counter.take();
    counter.restore(lost);
    counter.count(fetchOf('curl', 8n));
    expect(lost[0]).toMatchObject({ fetches: 1, lastVersion: 7n });
  });
});
