import type { IncomingMessage } from 'node:http';

/** A form that was looked at and not taken: whoever is next finds the request as it was. */
export interface PeekedForm {
  readonly text: string;
  /** Puts the body back where it was; gives false, so that it reads well. */
  giveBack(): false;
}

const FORM = /^application\/x-www-form-urlencoded(; ?charset=utf-8)?$/i;

/** The body of a form, if all of it has come in one piece and nothing about it is strange. `wanted` must stand in it; otherwise it has been given back. */
export async function peekForm(request: IncomingMessage, wanted: string): Promise<PeekedForm | undefined> {
  const { 'content-type': type = '', 'content-length': length, 'content-encoding': encoding, authorization } = request.headers;
  // A body of nothing would be at its end once it is looked at.
  if (!FORM.test(type) || !(Number(length) > 0) || encoding !== undefined || authorization !== undefined) return undefined;
  const chunk = await readFirst(request);
  if (chunk === undefined) return undefined;
  const giveBack = () => {
    request.unshift(chunk);
    return false as const;
  };
  const text = chunk.length === Number(length) ? chunk.toString('latin1') : '';
  if (text.includes(wanted)) return { text, giveBack };
  giveBack();
  return undefined;
}

/** The first piece of a body that has one; it is not waited for its end. */
function readFirst(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunk = request.read() as Buffer | null;
  if (chunk !== null) return Promise.resolve(chunk);
  return new Promise((resolve) => {
    const finish = () => {
      for (const event of ['readable', 'end', 'close', 'error']) request.off(event, finish);
      resolve((request.read() as Buffer | null) ?? undefined);
    };
    for (const event of ['readable', 'end', 'close', 'error']) request.once(event, finish);
  });
}
