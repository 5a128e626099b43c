/** Where a hole of a template lies: between tags, inside a tag, or inside a quoted attribute value. */
type Place = 'text' | 'tag' | 'value';

class SafeHtml {
  readonly #markup: string;

  constructor(markup: string) {
    this.#markup = markup;
  }

  static markupOf(value: SafeHtml): string {
    return value.#markup;
  }
}

/** Markup that is safe to send. Opaque: only the `html` tag makes it, only `render` opens it. */
export type Html = SafeHtml;

export type Interpolation = string | number | Html | null | undefined | false | readonly Interpolation[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

const knownPlaces = new WeakMap<TemplateStringsArray, readonly Place[]>();

/**
 * Builds markup, escaping every interpolation that is not `Html`; arrays are joined, and null, undefined
 * and false are left out. Escaping alone cannot save an unquoted attribute value, so a plain value that
 * stands in a tag outside quotes is a `TypeError`, and so is `Html` inside an attribute value.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Interpolation[]): Html {
  const places = placesOf(strings);
  const parts = strings.map((literal, index) => {
    const place = places[index];
    return index < values.length && place !== undefined ? literal + fill(values[index], place) : literal;
  });
  return new SafeHtml(parts.join(''));
}

/** Opens markup into the string that is sent. */
export function render(markup: Html): string {
  return SafeHtml.markupOf(markup);
}

function fill(value: Interpolation, place: Place): string {
  if (value === null || value === undefined || value === false) return '';
  if (isList(value)) return value.map((item) => fill(item, place)).join('');
  if (value instanceof SafeHtml) {
    if (place === 'value') throw new TypeError('Html cannot stand inside an attribute value: pass text');
    return SafeHtml.markupOf(value);
  }
  if (place === 'tag') throw new TypeError('A value inside a tag must stand in quotes');
  return String(value).replace(/[&<>"'`]/g, (character) => ENTITIES[character] ?? '');
}

// Array.isArray does not narrow a readonly array.
function isList(value: Interpolation): value is readonly Interpolation[] {
  return Array.isArray(value);
}

// The literals of one template are one frozen array for the life of the process: each is read once.
function placesOf(strings: TemplateStringsArray): readonly Place[] {
  const known = knownPlaces.get(strings);
  if (known) return known;
  let place: Place = 'text';
  let quote = '';
  const places = strings.map((literal) => {
    for (const character of literal) {
      if (place === 'text') {
        if (character === '<') place = 'tag';
      } else if (place === 'value') {
        if (character === quote) place = 'tag';
      } else if (character === '>') {
        place = 'text';
      } else if (character === '"' || character === "'") {
        place = 'value';
        quote = character;
      }
    }
    return place;
  });
  knownPlaces.set(strings, places);
  return places;
}
