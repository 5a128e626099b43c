// vouch audit verify: whether the record is as it was written.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, takeText } from '../answers.ts';
import { CliError } from '../errors.ts';
import { asFields, parseJson, takeList, takeNumber } from '../fields.ts';
import { printReport } from '../output.ts';

interface Fault {
  readonly kind: string;
  readonly says: string;
}

interface Verdict {
  readonly rows: number;
  readonly chains: number;
  readonly checkpoints: number;
  readonly faults: readonly Fault[];
}

/** Prints the verdict, each fault by name. Throws `CliError`: refused when there is a fault, network when no verdict came. */
export async function verifyRecord(api: AdminApi, isJson: boolean): Promise<void> {
  const { verdict, raw } = await waitForVerdict(api);
  const { rows, chains, checkpoints, faults } = verdict;
  if (isJson) await printReport(JSON.stringify(raw, null, 2));
  const whole = `${count(rows, 'row')} in ${count(chains, 'chain')}, ${count(checkpoints, 'signed checkpoint')}`;
  if (faults.length === 0) {
    if (!isJson) await printReport(`The record is as it was written: ${whole}.`);
    return;
  }
  if (!isJson) await printReport(faults.map(({ kind, says }) => `${kind}: ${says}`).join('\n'));
  throw new CliError('refused', `the record is not as it was written: ${count(faults.length, 'fault')} (${whole})`, {
    hints: ['keep the database and its backups as they are, and compare with an earlier export (deploy/README.md, suspected compromise)'],
  });
}

async function waitForVerdict(api: AdminApi): Promise<{ verdict: Verdict; raw: unknown }> {
  const progress = createProgress();
  try {
    for await (const line of api.lines('/audit/verify')) {
      const fields = readAnswer(() => asFields(parseJson(line), 'a line'));
      if (fields['verdict'] !== undefined) return { verdict: readVerdict(fields['verdict']), raw: fields['verdict'] };
      progress.show(readAnswer(() => takeNumber(fields, 'rows')));
    }
  } finally {
    progress.clear();
  }
  throw new CliError('network', `the issuer ${api.issuer} ended its answer without a verdict`, { hints: ['try again; the log of the issuer says what happened'] });
}

function readVerdict(value: unknown): Verdict {
  return readAnswer(() => {
    const fields = asFields(value, '"verdict"');
    return {
      rows: takeNumber(fields, 'rows'), chains: takeNumber(fields, 'chains'), checkpoints: takeNumber(fields, 'checkpoints'),
      faults: takeList(fields, 'faults', (item) => {
        const fault = asFields(item, 'a fault');
        return { kind: takeText(fault, 'kind'), says: takeText(fault, 'says') };
      }),
    };
  });
}

/** One line that is written over, on a terminal only. */
function createProgress(): { show: (rows: number) => void; clear: () => void } {
  if (!process.stderr.isTTY) return { show: () => undefined, clear: () => undefined };
  return {
    show: (rows) => { process.stderr.write(`\r\u001B[K${count(rows, 'row')} checked`); },
    clear: () => { process.stderr.write('\r\u001B[K'); },
  };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
