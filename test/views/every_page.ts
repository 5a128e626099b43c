import { createPages, loadAssets } from '../../server/views/views.ts';

export const HOSTILE = `"><img src=x onerror=alert(1)><script>alert('2')</script><a style="x" href='javascript:1'>&\``;

export const assets = loadAssets();
export const pages = createPages({ assets, productName: 'Vouch' });

/** Every page, filled from one pair of values, so that all are held to the same rules. */
export function everyPage(text: string, issuer = 'https://us.vouch.sh'): Record<string, string> {
  return {
    enrol: pages.renderEnrolPage({ token: text, issuer }),
    enrolled: pages.renderEnrolledPage({ email: text, name: text, issuer }),
    invitationUsed: pages.renderInvitationUsedPage(),
    signInCli: pages.renderSignInPage({ uid: text, clientName: text, isCli: true, issuer }),
    signIn: pages.renderSignInPage({ uid: text, clientName: text, isCli: false, issuer }),
    consent: pages.renderConsentPage({ uid: text, clientName: text, email: text, scopes: ['openid', text], redirectHost: text }),
    goOn: pages.renderContinuePage({ href: `/oauth/authorize/${text}` }),
    error: pages.renderErrorPage({ title: text, message: text, hint: text, reference: text }),
  };
}
