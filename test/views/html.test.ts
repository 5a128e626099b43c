import { describe, expect, test } from '@jest/globals';
import { html, render } from '../../server/views/html.ts';

const show = (markup: ReturnType<typeof html>) => render(markup);

describe('html', () => {
  test('escapes text', () => {
    expect(show(html`<p>${'<script>alert("1") & `2` \'3\'</script>'}</p>`)).toBe(
      '<p>&lt;script&gt;alert(&quot;1&quot;) &amp; &#96;2&#96; &#39;3&#39;&lt;/script&gt;</p>',
    );
  });

  test.each([
    ['double quotes', show(html`<a title="${'" onclick="x'}">`), '<a title="&quot; onclick=&quot;x">'],
    ['single quotes', show(html`<a title='${"' onclick='x"}'>`), "<a title='&#39; onclick=&#39;x'>"],
  ])('a value cannot leave an attribute in %s', (_quotes, markup, expected) => {
    expect(markup).toBe(expected);
  });

  test('does not take escaped text for escaped', () => {
    expect(show(html`${'&lt;'}`)).toBe('&amp;lt;');
  });

  test('lets Html through once, however deep', () => {
    const name = html`<b>${'<Ada>'}</b>`;
    expect(show(html`<p>${html`${name}!`}</p>`)).toBe('<p><b>&lt;Ada&gt;</b>!</p>');
  });

  test('joins arrays and escapes what is in them', () => {
    expect(show(html`${['<', html`<br>`, ['>', 1]]}`)).toBe('&lt;<br>&gt;1');
  });

  test('leaves out null, undefined and false, and keeps 0 and the empty string', () => {
    expect(show(html`[${null}${undefined}${false}${0}${''}]`)).toBe('[0]');
  });

  test('an object that only looks like Html is not let through', () => {
    const forged = { markup: '<img>', toString: () => '<img src=x>' };
    expect(show(html`${forged as unknown as string}`)).toBe('&lt;img src=x&gt;');
  });

  test('refuses a plain value in a tag outside quotes', () => {
    expect(() => html`<a href=${'x'}>`).toThrow(new TypeError('A value inside a tag must stand in quotes'));
    expect(() => html`<a ${'onclick=x'}>`).toThrow(TypeError);
    expect(() => html`<a ${['onclick=x']}>`).toThrow(TypeError);
    expect(() => html`<a title="a" ${'onclick=x'}>`).toThrow(TypeError);
    expect(show(html`<a ${html`title="${'"'}"`}>${'x'}</a>`)).toBe('<a title="&quot;">x</a>');
  });

  test('refuses Html inside an attribute value', () => {
    expect(() => html`<a title="${html`<b>`}">`).toThrow(
      new TypeError('Html cannot stand inside an attribute value: pass text'),
    );
  });
});
