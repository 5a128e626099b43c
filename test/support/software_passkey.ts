import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { isoCBOR } from '@simplewebauthn/server/helpers';

export interface SoftwarePasskey {
  /** navigator.credentials.create(), for the origin that the passkey was made for. */
  create(options: CreationOptions): object;
  /** navigator.credentials.get(). */
  get(options: RequestOptions): object;
}

interface CreationOptions {
  challenge: string;
  rp: { id?: string };
  user: { id: string };
}

interface RequestOptions {
  challenge: string;
  rpId?: string;
}

export interface SoftwarePasskeyOptions {
  readonly origin: string;
  /** Whether the authenticator verifies its user; false makes responses that must be refused. */
  readonly verifiesUser?: boolean;
}

const FLAGS = { userPresent: 0x01, userVerified: 0x04, attestedData: 0x40 };

/** An authenticator (WebAuthn Level 3, section 6) in software: P-256, "none" attestation, one credential. */
export function createSoftwarePasskey({ origin, verifiesUser = true }: SoftwarePasskeyOptions): SoftwarePasskey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const credentialId = randomBytes(32);
  let userHandle = '';
  let counter = 0;

  const describeClient = (type: string, challenge: string) => Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
  const describeAuthenticator = (rpId: string, extraFlags: number, rest: Buffer) => {
    counter += 1;
    const head = Buffer.alloc(37);
    createHash('sha256').update(rpId).digest().copy(head);
    head[32] = FLAGS.userPresent | (verifiesUser ? FLAGS.userVerified : 0) | extraFlags;
    head.writeUInt32BE(counter, 33);
    return Buffer.concat([head, rest]);
  };
  const describeKey = () => {
    const { x, y } = publicKey.export({ format: 'jwk' });
    const cose = new Map<number, number | Uint8Array>([[1, 2], [3, -7], [-1, 1], [-2, new Uint8Array(Buffer.from(x!, 'base64url'))], [-3, new Uint8Array(Buffer.from(y!, 'base64url'))]]);
    return Buffer.from(isoCBOR.encode(cose));
  };

  return {
    create: ({ challenge, rp, user }) => {
      userHandle = user.id;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(credentialId.length);
      const authData = describeAuthenticator(rp.id ?? new URL(origin).hostname, FLAGS.attestedData, Buffer.concat([Buffer.alloc(16), length, credentialId, describeKey()]));
      const attestation = isoCBOR.encode(new Map<string, string | Uint8Array | Map<string, string>>([['fmt', 'none'], ['attStmt', new Map()], ['authData', new Uint8Array(authData)]]));
      return describeCredential(credentialId, {
        clientDataJSON: describeClient('webauthn.create', challenge).toString('base64url'),
        attestationObject: Buffer.from(attestation).toString('base64url'),
        transports: ['internal'],
      });
    },
    get: ({ challenge, rpId }) => {
      const clientData = describeClient('webauthn.get', challenge);
      const authData = describeAuthenticator(rpId ?? new URL(origin).hostname, 0, Buffer.alloc(0));
      const signed = createSign('sha256').update(authData).update(createHash('sha256').update(clientData).digest()).sign(privateKey);
      return describeCredential(credentialId, {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: signed.toString('base64url'),
        userHandle,
      });
    },
  };
}

function describeCredential(id: Buffer, response: object): object {
  const text = id.toString('base64url');
  return { id: text, rawId: text, type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {}, response };
}
