import { webcrypto, X509Certificate, KeyObject } from 'node:crypto';
import { BasicConstraintsExtension, cryptoProvider, X509CertificateGenerator, type X509Certificate as Certificate } from '@peculiar/x509';
import type { Maker } from './software_passkey.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const YEAR_MS = 365 * 86_400_000;

/** A maker of authenticators: its root, in PEM, and what signs for its authenticators (WebAuthn Level 3 8.2.1). */
export async function createMaker({ expiresInMs = YEAR_MS } = {}): Promise<{ root: string; maker: Maker }> {
  cryptoProvider.set(webcrypto);
  const [rootKeys, leafKeys] = await Promise.all([createKeys(), createKeys()]);
  const [notBefore, notAfter] = [new Date(Date.now() - 86_400_000), new Date(Date.now() + expiresInMs)];
  const root = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test Maker Root', serialNumber: '01', notBefore, notAfter, keys: rootKeys, signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(true, 1, true)],
  });
  const leaf = await X509CertificateGenerator.create({
    subject: 'C=DE, O=Test Maker, OU=Authenticator Attestation, CN=Test Authenticator', issuer: root.subject, serialNumber: '02', notBefore, notAfter,
    publicKey: leafKeys.publicKey, signingKey: rootKeys.privateKey, signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(false, undefined, true)],
  });
  return { root: new X509Certificate(toBytes(root)).toString(), maker: { privateKey: KeyObject.from(leafKeys.privateKey), chain: [toBytes(leaf)] } };
}

const createKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

const toBytes = (certificate: Certificate) => new Uint8Array(certificate.rawData);
