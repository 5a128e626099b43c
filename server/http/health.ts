import type { Group } from './front.ts';
import { sendJson } from './reply.ts';

export interface Health {
  /** From now on /readyz says no, so that a balancer looks elsewhere while requests under way end. */
  readonly beginDrain: () => void;
  /** /healthz: the process lives. /readyz: it can do its work. */
  readonly answer: Group;
}

/** `check` throws, or resolves with why not, while the work cannot be done. */
export function createHealth(check: () => Promise<string | undefined>): Health {
  let isDraining = false;
  return {
    beginDrain: () => {
      isDraining = true;
    },
    answer: (_request, response, path) => {
      if (path === '/healthz') sendJson(response, 200, { status: 'ok' });
      else if (path !== '/readyz') return false;
      else if (isDraining) sendJson(response, 503, { status: 'draining' });
      else {
        check().then(
          (why) => { sendJson(response, why === undefined ? 200 : 503, { status: why ?? 'ok' }); },
          () => { sendJson(response, 503, { status: 'storage unavailable' }); },
        );
      }
      return true;
    },
  };
}
