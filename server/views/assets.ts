import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, parse } from 'node:path';

export interface Asset {
  readonly body: Buffer;
  readonly contentType: string;
  /** Strong, quoted. */
  readonly etag: string;
}

export interface Assets {
  /** The asset served at exactly this path, which names its content and may be cached as immutable. */
  find(pathname: string): Asset | undefined;
  /** Returns the path of an asset by its plain name, as in `style.css`; a `TypeError` if there is none. */
  path(name: string): string;
}

export const ASSETS_ROOT = '/login/assets/';

const own = (file: string) => () => readFileSync(join(import.meta.dirname, 'assets', file));

const SOURCES: readonly { name: string; contentType: string; read: () => Buffer }[] = [
  { name: 'style.css', contentType: 'text/css; charset=utf-8', read: own('style.css') },
  { name: 'passkey.js', contentType: 'text/javascript; charset=utf-8', read: own('passkey.js') },
  { name: 'submit.js', contentType: 'text/javascript; charset=utf-8', read: own('submit.js') },
  { name: 'webauthn.js', contentType: 'text/javascript; charset=utf-8', read: readWebauthnBundle },
  { name: 'icon.svg', contentType: 'image/svg+xml', read: own('icon.svg') },
];

/** Reads every asset once. Throws if a file is missing, so that a bad build fails at start. */
export function loadAssets(): Assets {
  const paths = new Map<string, string>();
  const assets = new Map<string, Asset>();
  for (const { name, contentType, read } of SOURCES) {
    const body = read();
    // 64 bits tell apart the few versions that one deployment ever serves.
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
    const file = parse(name);
    const path = `${ASSETS_ROOT}${file.name}.${hash}${file.ext}`;
    paths.set(name, path);
    assets.set(path, Object.freeze({ body, contentType, etag: `"${hash}"` }));
  }
  return Object.freeze({
    find: (pathname: string) => assets.get(pathname),
    path: (name: string) => {
      const path = paths.get(name);
      if (path === undefined) throw new TypeError(`No asset is named ${name}`);
      return path;
    },
  });
}

// The package exports only its modules; the browser bundle lies beside them, at script/../dist.
function readWebauthnBundle(): Buffer {
  const entry = createRequire(import.meta.url).resolve('@simplewebauthn/browser');
  return readFileSync(join(entry, '../../dist/bundle/index.umd.min.js'));
}
