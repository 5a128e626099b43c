// Whether a provider would trust the issuer's certificate: it knows the public authorities, and none that only this machine trusts.
import { connect, getCACertificates } from 'node:tls';
import { readErrorCode } from '../errors.ts';
import { explainCode } from '../network.ts';
import type { Cause } from './evaluate.ts';

// AWS gives up after that.
const MOST_MS = 5000;
const OF_CERTIFICATE = /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA$|ERR_TLS_CERT_)/;

/** Whoever is told of the authority would trust it. */
const OF_AUTHORITY = /^(?:UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;

export interface CertificateFault extends Cause {
  readonly isOfAuthority: boolean;
}

export interface Place {
  readonly hostname: string;
  /** Where it is reached; undefined: where its name leads. */
  readonly address?: string;
  /** Default 443. */
  readonly port?: number;
}

/** Undefined where providers would trust it, and where no TLS was spoken: the fetches that follow say that better. */
export async function inspectCertificate({ hostname, address = hostname, port = 443 }: Place): Promise<CertificateFault | undefined> {
  // In place of what this process trusts by --ca-file, NODE_EXTRA_CA_CERTS or the system.
  const code = await shakeHands({ host: address, port, servername: hostname, ca: getCACertificates('bundled') });
  if (code === undefined || !OF_CERTIFICATE.test(code)) return undefined;
  return {
    isOfAuthority: OF_AUTHORITY.test(code),
    sentence: `providers will not trust the TLS certificate of ${hostname}: to all who know the public authorities only, ${explainCode(code)}`,
    hints: [
      ...(code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' ? ['if a public authority made it: serve the whole chain, with the intermediate certificates (fullchain.pem)'] : []),
      'have a public authority certify that name; what --ca-file, VOUCH_CA_FILE and NODE_EXTRA_CA_CERTS name is trusted here alone',
      'if your own network inspects TLS, ask from outside, too',
    ],
  };
}

function shakeHands(options: { host: string; port: number; servername: string; ca: string[] }): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(options);
    const end = (code: string | undefined): void => {
      socket.destroy();
      resolve(code);
    };
    socket.setTimeout(MOST_MS, () => { end(undefined); });
    socket.once('secureConnect', () => { end(undefined); });
    socket.once('error', (error) => { end(readErrorCode(error)); });
  });
}
