// vouch doctor and vouch explain: how they are spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from '../command.ts';
import { CliError } from '../errors.ts';
import { addServiceAccountOption, createCredentialUse, createSource, findIssuer, type SourceOptions } from '../source_option.ts';
import type { ClaimCondition, Rule } from './rule.ts';

interface DoctorOptions extends SourceOptions {
  readonly profile?: string;
  readonly rule?: string;
  readonly issuer?: string;
  readonly subject?: string;
  readonly audience?: string;
  readonly claim?: readonly string[];
  readonly condition?: string;
  readonly tokenAudience?: string;
  readonly exchange: boolean;
  readonly json?: boolean;
}

const DOCTOR_EXAMPLES = `
Examples:
  $ vouch doctor anthropic
  $ vouch doctor anthropic --rule rule.json
  $ vouch doctor anthropic --audience https://api.anthropic.com --subject 'dev@example.com' --claim hd=example.com
  $ vouch doctor aws --rule trust-policy.json
  $ vouch doctor google --issuer https://vouch.example.com --audience //iam.googleapis.com/... --token-audience //iam.googleapis.com/...`;

export function addDoctor(program: Command, input: ProgramInput): void {
  const collect = (value: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), value];
  const command = program.command('doctor')
    .description('Find out why a provider refuses: the first real cause, and what to type.')
    .argument('[provider]', 'anthropic, openai, aws, openrouter, google, azure, vault, kubernetes or custom (default: the issuer and this machine only)')
    .option('--profile <name>', 'the setup of this name')
    .option('--rule <path>', "the provider's rule as JSON, to evaluate here (- is standard input): a federation rule, a trust policy, a role, ...")
    .option('--issuer <URL>', "the rule's issuer, as the provider has it")
    .option('--subject <pattern>', "the rule's subject pattern")
    .option('--audience <audience>', "the rule's expected audience")
    .option('--claim <name=value>', 'a claim that the rule demands; may be repeated', collect)
    .option('--condition <CEL>', 'that the rule has a CEL condition (it is not evaluated)')
    .option('--token-audience <audience>', "whom the ID token is for (default: the setup's, else the issuer's default)")
    .option('--no-exchange', 'stop before the provider is asked')
    .option('--json', 'as JSON')
    .addHelpText('after', DOCTOR_EXAMPLES);
  addServiceAccountOption(command)
    .action(async (name: string | undefined, options: DoctorOptions) => {
      const [{ examine }, { findTarget, TARGETS }, { inspectCertificate }, { lookup }] = await Promise.all([import('./doctor.ts'), import('./targets.ts'), import('./certificate.ts'), import('node:dns/promises')]);
      const target = name === undefined ? undefined : findTarget(name);
      if (name !== undefined && target === undefined) throw new CliError('usage', 'there is no such provider', { hints: [`the providers are ${TARGETS.map((known) => known.name).join(', ')}`] });
      const use = await createCredentialUse(input, options, false);
      await examine({
        use, issuer: await findIssuer(input, options, use.source), variables: input.environment.variables, readStdin,
        inspectCertificate: (hostname) => inspectCertificate({ hostname }),
        resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
      }, { target, profile: options.profile, rulePath: options.rule, flags: readFlags(options), audience: options.tokenAudience, triesExchange: options.exchange, isJson: options.json === true });
    });
}

function readFlags({ issuer, subject, audience, claim, condition }: DoctorOptions): Partial<Rule> {
  return {
    ...(issuer === undefined ? {} : { issuer }), ...(subject === undefined ? {} : { subject }), ...(audience === undefined ? {} : { audiences: [audience] }),
    ...(claim === undefined ? {} : { claims: claim.map(readClaim) }), ...(condition === undefined ? {} : { condition }),
  };
}

function readClaim(text: string): ClaimCondition {
  const at = text.indexOf('=');
  if (at > 0) return { name: text.slice(0, at), expected: text.slice(at + 1), operator: 'equals' };
  throw new CliError('usage', '--claim must be name=value');
}

export function addExplain(program: Command, input: ProgramInput): void {
  const command = describe(program.command('explain'), 'Say what a token holds, without believing it.', 'vouch credential id-token | vouch explain -')
    .argument('[token]', 'the token; - is standard input (default: a fresh ID token of yours)')
    .option('--audience <audience>', 'whom the fresh ID token is for')
    .option('--offline', "do not fetch the issuer's keys")
    .option('--json', 'as JSON');
  addServiceAccountOption(command)
    .action(async (given: string | undefined, options: SourceOptions & { audience?: string; offline?: boolean; json?: boolean }) => {
      const [{ explainToken }, source] = await Promise.all([import('./explain.ts'), createSource(input, options, false)]);
      const token = given === '-' ? await readStdin() : given ?? await source.idToken(options.audience);
      const issuer = await findIssuer(input, options, source);
      await explainToken({ token, issuer, isOffline: options.offline === true, isJson: options.json === true, clock: input.clock });
    });
}

const MOST_BYTES = 1024 * 1024;

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MOST_BYTES) throw new CliError('usage', 'standard input holds more than 1 MiB');
  }
  return text;
}
