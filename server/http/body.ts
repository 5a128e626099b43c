import type { IncomingMessage } from 'node:http';
import rawBody from 'raw-body';
import { Refused } from '../lib/errors.ts';

/** 64 KiB: no request of ours is near it. */
export const LARGEST_BODY_BYTES = 64 * 1024;

/** Reads a JSON object. Throws Refused for another media type, too large a body, or anything but one object. */
export async function readJsonBody(request: IncomingMessage, mediaTypes: readonly string[] = ['application/json']): Promise<Record<string, unknown>> {
  const mediaType = (request.headers['content-type'] ?? '').replace(/\s*;.*$/s, '').trim().toLowerCase();
  if (!mediaTypes.includes(mediaType)) throw new Refused('invalid_request', `Send the request as ${mediaTypes.join(' or ')}.`);
  const text = await readText(request);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, for both.
  }
  throw new Refused('invalid_request', 'The request is not a JSON object.');
}

/** Reads what a form posts. Throws Refused for another media type, too large a body, or a field that is there twice. */
export async function readFormBody(request: IncomingMessage): Promise<ReadonlyMap<string, string>> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new Refused('invalid_request', 'Send the form as application/x-www-form-urlencoded.');
  }
  const pairs = [...new URLSearchParams(await readText(request))];
  const fields = new Map(pairs);
  if (fields.size < pairs.length) throw new Refused('invalid_request', 'The form holds a field twice.');
  return fields;
}

function readText(request: IncomingMessage): Promise<string> {
  return rawBody(request, { limit: LARGEST_BODY_BYTES, encoding: 'utf-8' }).catch((cause: unknown) => {
    throw new Refused('invalid_request', 'The request is too large or was cut off.', { cause });
  });
}
