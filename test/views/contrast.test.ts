import { describe, expect, test } from '@jest/globals';
import { assets } from './every_page.ts';

// WCAG 2.2: 4.5 for text (1.4.3), 3 for the edges of controls and for focus (1.4.11).
const PAIRS: readonly [front: string, back: string, least: number][] = [
  ['text', 'surface', 4.5],
  ['text', 'ground', 4.5],
  ['text', 'sunken', 4.5],
  ['muted', 'surface', 4.5],
  ['muted', 'ground', 4.5],
  ['muted', 'sunken', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-hover', 4.5],
  ['error', 'surface', 4.5],
  ['error', 'error-ground', 4.5],
  ['accent', 'sunken', 3],
  ['good', 'surface', 3],
  ['control', 'surface', 3],
  ['focus', 'surface', 3],
];

const css = assets.find(assets.path('style.css'))!.body.toString('utf8');
const [light, dark] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => colours(block!));

describe.each([['light', light!], ['dark', dark!]] as const)('%s scheme', (_scheme, palette) => {
  test.each(PAIRS)('%s on %s is at least %d', (front, back, least) => {
    expect(contrast(palette[front]!, palette[back]!)).toBeGreaterThanOrEqual(least);
  });
});

function colours(block: string): Record<string, string> {
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name!, value!]));
}

function contrast(one: string, other: string): number {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high! + 0.05) / (low! + 0.05);
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const part = parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}
