import { createHash, createSign, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { isoCBOR } from '@simplewebauthn/server/helpers';

export interface SoftwarePasskey {
  /** navigator.credentials.create(), for the origin that the passkey was made for. */
  create(options: CreationOptions): object;
  /** navigator.credentials.get(). */
  get(options: RequestOptions): object;
  /** Puts back what it counts, as a copy would. */
  rewind(counter: number): void;
  /** Says from now on that it is another's. */
  claimUser(userHandle: string): void;
  readonly id: string;
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
  /** 16 bytes as a UUID; noughts by default. */
  readonly aaguid?: string;
  /** Whether the passkey may be backed up, and is. */
  readonly isSynced?: boolean;
  /** A maker that signs a "packed" statement; "none" without. */
  readonly maker?: Maker;
  /** How it says that it verified its user, under its signature (the uvm extension). */
  readonly uvm?: number;
}

/** Signs for an authenticator: a key in a certificate that a maker's root leads to. */
export interface Maker {
  readonly privateKey: KeyObject;
  /** DER, the leaf first. */
  readonly chain: readonly Uint8Array[];
}

const FLAGS = { userPresent: 0x01, userVerified: 0x04, backupEligible: 0x08, backedUp: 0x10, attestedData: 0x40, extensions: 0x80 };

/** An authenticator (WebAuthn Level 3, section 6) in software: P-256, "none" attestation, one credential. */
export function createSoftwarePasskey({ origin, verifiesUser = true, aaguid = '', isSynced = false, maker, uvm }: SoftwarePasskeyOptions): SoftwarePasskey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const credentialId = randomBytes(32);
  let userHandle = '';
  let counter = 0;

  const describeClient = (type: string, challenge: string) => Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
  const describeAuthenticator = (rpId: string, extraFlags: number, rest: Buffer) => {
    counter += 1;
    const head = Buffer.alloc(37);
    createHash('sha256').update(rpId).digest().copy(head);
    head[32] = FLAGS.userPresent | (verifiesUser ? FLAGS.userVerified : 0) | (isSynced ? FLAGS.backupEligible | FLAGS.backedUp : 0) | extraFlags;
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
      const model = Buffer.from(aaguid.replaceAll('-', '').padEnd(32, '0'), 'hex');
      const authData = describeAuthenticator(rp.id ?? new URL(origin).hostname, FLAGS.attestedData, Buffer.concat([model, length, credentialId, describeKey()]));
      const clientData = describeClient('webauthn.create', challenge);
      const signed = Buffer.concat([authData, createHash('sha256').update(clientData).digest()]);
      const statement = maker === undefined ? new Map() : new Map<string, number | Uint8Array | Uint8Array[]>([
        ['alg', -7], ['sig', new Uint8Array(createSign('sha256').update(signed).sign(maker.privateKey))], ['x5c', [...maker.chain]],
      ]);
      const attestation = isoCBOR.encode(new Map<string, string | Uint8Array | typeof statement>([['fmt', maker === undefined ? 'none' : 'packed'], ['attStmt', statement], ['authData', new Uint8Array(authData)]]));
      return describeCredential(credentialId, {
        clientDataJSON: clientData.toString('base64url'),
        attestationObject: Buffer.from(attestation).toString('base64url'),
        transports: ['internal'],
      });
    },
    get: ({ challenge, rpId }) => {
      const clientData = describeClient('webauthn.get', challenge);
      const extensions = uvm === undefined ? Buffer.alloc(0) : Buffer.from(isoCBOR.encode(new Map([['uvm', [[uvm, 2, 2]]]])));
      const authData = describeAuthenticator(rpId ?? new URL(origin).hostname, uvm === undefined ? 0 : FLAGS.extensions, extensions);
      const signed = createSign('sha256').update(authData).update(createHash('sha256').update(clientData).digest()).sign(privateKey);
      return describeCredential(credentialId, {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: signed.toString('base64url'),
        userHandle,
      });
    },
    rewind: (to) => {
      counter = to;
    },
    claimUser: (claimed) => {
      userHandle = claimed;
    },
    id: credentialId.toString('base64url'),
  };
}

function describeCredential(id: Buffer, response: object): object {
  const text = id.toString('base64url');
  return { id: text, rawId: text, type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {}, response };
}
