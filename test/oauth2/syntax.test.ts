import { describe, expect, test } from '@jest/globals';
import { domainOf, isAudience, isResourceIndicator, isSubjectEmail } from '../../server/oauth2/syntax.ts';

interface Table {
  readonly good: readonly string[];
  readonly bad: readonly string[];
}

const longEmail = (length: number) => `${'a'.repeat(length - '@example.com'.length)}@example.com`;

const TABLES: Readonly<Record<string, Table & { check: (value: string) => boolean }>> = {
  'an audience (1-256 visible ASCII characters)': {
    check: isAudience,
    good: ['a', '!', '~', 'https://api.openai.com/v1', 'sts.amazonaws.com', '//iam.googleapis.com/projects/1', 'urn:x:y', 'A"<>\\{}', 'x'.repeat(256)],
    bad: ['', ' ', 'a b', ' a', 'a ', 'a\n', '\n', 'a\u0000b', 'a\tb', 'a\u007f', 'ä', 'https://b\u00fccher.example', '\u200ba', 'x'.repeat(257)],
  },
  'a resource indicator (RFC 8707 2)': {
    check: isResourceIndicator,
    good: ['https://api.openai.com/v1', 'https://api.example', 'urn:example:resource', 'https://api.example/?a=b', 'custom+scheme-1.0:x', 'HTTPS://API.EXAMPLE'],
    bad: ['', 'api.example', '/relative', '//host/path', 'https://api.example/#', 'https://api.example#part', 'https://', '1https://api.example', 'https://a b', `https://api.example/${'x'.repeat(256)}`],
  },
  "a federation token's sub": {
    check: isSubjectEmail,
    good: ['a@b.co', 'ada@example.com', 'ada.lovelace+dev@mail.example.co.uk', "o'brien@example.com", 'x_y-z@a-b.example', '!#$%&\'+/=^_`{|}~-@example.com', 'a@1.2.example', 'a@xn--bcher-kva.example', longEmail(127)],
    bad: [
      '', 'ada', '@example.com', 'ada@', 'ada@example', 'ada@@example.com', 'a@b@example.com', 'Ada@example.com', 'ada@Example.com', 'ada @example.com',
      ' ada@example.com', 'ada@example.com ', 'ada@example.com\n', '*@example.com', 'ada?@example.com', 'a*a@example.com', '.ada@example.com', 'ada.@example.com',
      'a..b@example.com', 'ada@example..com', 'ada@.example.com', 'ada@example.com.', 'ada@-example.com', 'ada@example-.com', 'ada@exam_ple.com', 'äda@example.com',
      'ada@bücher.example', '"ada"@example.com', 'ada@[127.0.0.1]', 'ada@example.com\u0000', longEmail(128),
    ],
  },
};

describe.each(Object.entries(TABLES))('%s', (_what, { check, good, bad }) => {
  test.each(good)('takes %j', (value) => {
    expect(check(value)).toBe(true);
  });

  test.each(bad)('refuses %j', (value) => {
    expect(check(value)).toBe(false);
  });
});

test.each([
  ['ada@example.com', 'example.com'],
  ['ada@mail.example.com', 'mail.example.com'],
  ['"a@evil.example"@example.com', 'example.com'],
])('the domain of %s is %s', (email, domain) => {
  expect(domainOf(email)).toBe(domain);
});
