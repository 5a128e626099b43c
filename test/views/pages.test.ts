import { describe, expect, test } from '@jest/globals';
import { assets, everyPage, HOSTILE, pages } from './every_page.ts';

const plain = Object.entries(everyPage('Acme'));
const hostile = Object.entries(everyPage(HOSTILE));
const everyDocument = [...plain.map(([name, page]) => [name, 'plain', page]), ...hostile.map(([name, page]) => [name, 'hostile', page])] as [string, string, string][];

const tagsOf = (page: string) => page.match(/<[a-z!/](?:"[^"]*"|[^>"])*>/gi) ?? [];
const tagsNamed = (page: string, name: string) => tagsOf(page).filter((tag) => tag.startsWith(`<${name} `) || tag === `<${name}>`);
const attribute = (tag: string, name: string) => new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];

describe.each(everyDocument)('%s page, %s values', (_name, _values, page) => {
  test('is one whole document in English with a title, one h1 and one main', () => {
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
    expect(page.endsWith('</html>\n')).toBe(true);
    expect(page).toMatch(/<title>[^<]+ · Vouch<\/title>/);
    expect(tagsNamed(page, 'h1')).toHaveLength(1);
    expect(tagsNamed(page, 'main')).toHaveLength(1);
    expect(page).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
  });

  test('has no inline script, style or event handler', () => {
    expect(tagsNamed(page, 'style')).toEqual([]);
    expect(page).not.toMatch(/<script[^>]*>[^<]/);
    for (const tag of tagsNamed(page, 'script')) expect(attribute(tag, 'src')).toMatch(/^\/login\/assets\//);
    for (const tag of tagsOf(page)) expect(tag.replace(/"[^"]*"/g, '')).not.toMatch(/\s(style|on\w+)\s*=/i);
  });

  test('names nothing on another origin', () => {
    for (const tag of tagsOf(page)) {
      for (const name of ['src', 'href', 'action', 'data-options', 'data-verify']) {
        expect(attribute(tag, name) ?? '/').toMatch(/^\/(?!\/)/);
      }
    }
  });

  test('links only to assets that exist', () => {
    const links = page.match(/\/login\/assets\/[^"]+/g) ?? [];
    expect(links.length).toBeGreaterThanOrEqual(2);
    for (const link of links) expect(assets.find(link)).toBeDefined();
  });

  test('ties a label and a description to every input', () => {
    for (const input of tagsNamed(page, 'input').filter((tag) => attribute(tag, 'type') !== 'hidden')) {
      expect(tagsNamed(page, 'label').filter((tag) => attribute(tag, 'for') === attribute(input, 'id'))).toHaveLength(1);
      expect(page).toContain(` id="${attribute(input, 'aria-describedby') ?? 'none'}"`);
      expect(attribute(input, 'autocomplete')).toBeDefined();
    }
  });

  test('sends every form by POST', () => {
    for (const form of tagsNamed(page, 'form')) expect(attribute(form, 'method')).toBe('post');
  });
});

describe('hostile values', () => {
  test.each(hostile)('%s page: they add no element and no attribute', (name, page) => {
    const calm = everyPage('Acme')[name]!;
    const shape = (document: string) => tagsOf(document).map((tag) => tag.replace(/"[^"]*"/g, '""'));
    expect(shape(page)).toEqual(shape(calm));
  });

  test('a client name stays readable as what it is', () => {
    const page = pages.renderConsentPage({ uid: 'u', clientName: '<b>Bank</b>', email: 'a@b.c', scopes: [], redirectHost: 'x.example' });
    expect(page).toContain('<strong><bdi>&lt;b&gt;Bank&lt;/b&gt;</bdi></strong> asks for access to your account.');
  });

  test('a name cannot reverse the writing direction or hide control characters', () => {
    const page = pages.renderEnrolledPage({ email: 'ada\u0000@\u2066x.example', name: 'Ada\u202Egnp.exe', issuer: 'https://us.vouch.sh' });
    expect(page).toContain('<bdi>Adagnp.exe</bdi>');
    expect(page).toContain('<bdi>ada@<wbr>x.example</bdi>');
  });

  test('a token and a uid cannot lead a form to another path', () => {
    expect(pages.renderEnrolPage({ token: '../../admin?', issuer: 'https://us.vouch.sh' })).toContain('data-verify="/login/enrol/..%2F..%2Fadmin%3F/verify"');
    expect(everyPage('../x')['signIn']).toContain('action="/login/..%2Fx/abort"');
  });
});

describe('sentences', () => {
  test('enrolment asks for an e-mail and a name, and carries its address and texts for the script', () => {
    const page = pages.renderEnrolPage({ token: 'tok', issuer: 'https://us.vouch.sh' });
    expect(page).toContain('data-ceremony="registration" data-options="/login/enrol/tok/options" data-verify="/login/enrol/tok/verify"');
    expect(page).toContain('data-text-wrong-address="Passkeys work only at the address us.vouch.sh. Open this page there and try again."');
    expect(page).toMatch(/<input id="email" name="email" type="email" autocomplete="email"/);
    expect(page).toMatch(/<input id="name" name="name" type="text" autocomplete="name"/);
    expect(page).toContain('<noscript>');
  });

  test('the enrolled page says what to type next', () => {
    expect(everyPage('Acme')['enrolled']).toContain('<code>npx vouch login</code>');
  });

  test('sign-in says who asks', () => {
    const options = { uid: 'u', clientName: 'vouch', issuer: 'https://us.vouch.sh' };
    expect(pages.renderSignInPage({ ...options, isCli: true })).toContain('The <strong><bdi>vouch</bdi></strong> command line on your computer is asking to sign in.');
    expect(pages.renderSignInPage({ ...options, isCli: false })).toContain('<strong><bdi>vouch</bdi></strong> is asking to sign you in.');
  });

  test('consent explains known scopes and shows unknown ones, even those named like an object member', () => {
    const page = pages.renderConsentPage({ uid: 'u', clientName: 'Acme', email: 'a@b.c', scopes: ['email', 'constructor'], redirectHost: 'acme.example' });
    expect(page).toContain('<li>See your e-mail address</li>');
    expect(page).toContain('<li>Use the permission <code>constructor</code></li>');
    expect(page).toContain('you go on to <strong><bdi>acme.example</bdi></strong>');
  });

  test.each(['127.0.0.1:4711', '[::1]:4711', 'localhost'])('consent calls %s the own computer', (redirectHost) => {
    const options = { uid: 'u', clientName: 'Acme', email: 'a@b.c', scopes: [] };
    expect(pages.renderConsentPage({ ...options, redirectHost })).toContain('the program on your computer');
    expect(pages.renderConsentPage({ ...options, redirectHost: `${redirectHost}.evil.example` })).not.toContain('your computer');
  });

  test('consent names no host where the redirect URI has none', () => {
    const page = pages.renderConsentPage({ uid: 'u', clientName: 'Acme', email: 'a@b.c', scopes: [], redirectHost: new URL('com.acme.app:/cb').host });
    expect(page).toContain('Either way, you go back to the application that asks.');
  });

  test('an error page leaves out what it was not given', () => {
    const page = pages.renderErrorPage({ title: 'Gone', message: 'It has expired.' });
    expect(page).not.toContain('Reference');
    expect(pages.renderErrorPage({ title: 'Gone', message: 'It has expired.', reference: 'r1' })).toContain('Reference: <code>r1</code>');
  });

  test.each(['javascript:alert(1)', 'data:text/html,x', '//evil.example', '/\\evil.example', 'page', ''])('the page that goes on refuses %j', (href) => {
    expect(() => pages.renderContinuePage({ href })).toThrow(new TypeError('The address to go on to must be a path or an http(s) URL'));
  });

  test('the page that goes on refreshes to the address and links to it', () => {
    const page = pages.renderContinuePage({ href: 'http://127.0.0.1:4711/cb?code=a&state=b' });
    expect(page).toContain('<meta http-equiv="refresh" content="0;url=http://127.0.0.1:4711/cb?code=a&amp;state=b">');
    expect(page).toContain('href="http://127.0.0.1:4711/cb?code=a&amp;state=b"');
  });
});
