import { expect, test } from '@jest/globals';
import { compareAddresses, nameCaller } from '../../server/http/address.ts';

test.each([
  ['203.0.113.7', '203.0.113.7', 'same_address'],
  ['203.0.113.7', '::ffff:203.0.113.7', 'same_address'],
  ['::ffff:cb00:7107', '203.0.113.7', 'same_address'],
  ['203.0.113.7', '203.0.113.200', 'same_network'],
  ['203.0.113.7', '203.0.114.7', 'another_network'],
  ['2001:db8:0:1::7', '2001:DB8::1:0:0:0:7', 'same_address'],
  ['2001:db8:0:1::7', '2001:db8:0:1:ffff::', 'same_network'],
  ['2001:db8:0:1::7', '2001:db8:0:2::7', 'another_network'],
  ['fe80::1%eth0', 'fe80::1', 'same_address'],
  ['2001:db8::203.0.113.7', '2001:db8::cb00:7107', 'same_address'],
  ['203.0.113.7', '2001:db8::1', 'another_network'],
  ['127.0.0.1', '::1', 'same_address'],
  ['127.0.0.1', '::ffff:127.0.0.2', 'same_address'],
  ['127.0.0.1', '10.0.0.1', 'another_network'],
  ['', '203.0.113.7', 'unknown'],
  ['203.0.113.7:4711', '203.0.113.7', 'unknown'],
  ['<b>', '203.0.113.7', 'unknown'],
  ['999.0.0.1', '203.0.113.7', 'unknown'],
])('%s and %s: %s', (one, other, distance) => {
  expect([compareAddresses(one, other), compareAddresses(other, one)]).toEqual([distance, distance]);
});

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:0:1:aaaa:bbbb:cccc:dddd', '2001:db8:0:1::/64'],
  ['2001:db8:0:1::', '2001:db8:0:1::/64'],
  ['2001:db8:0:2::', '2001:db8:0:2::/64'],
  ['nonsense', 'unknown'],
])('%s is counted as %s', (address, name) => {
  expect(nameCaller(address)).toBe(name);
});

test('an address that is not known is compared with nothing', () => {
  expect([compareAddresses(undefined, '203.0.113.7'), compareAddresses(undefined, undefined), nameCaller(undefined)]).toEqual(['unknown', 'unknown', 'unknown']);
});
