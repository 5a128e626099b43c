import type { ZodType } from 'zod';
import { describeVariable, environmentSchema } from './variables.ts';

/** The README's table of variables, in Markdown. */
export function renderConfigTable(): string {
  const rows = Object.entries<ZodType>(environmentSchema.shape).map(([name, schema]) => {
    const { description, defaultText, isSecret, isLong } = describeVariable(schema);
    const names = isSecret || isLong ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``;
    return `| ${names} | ${defaultText ?? readDefault(schema)} | ${description} |`;
  });
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n');
}

function readDefault(schema: ZodType): string {
  const { data } = schema.safeParse(undefined);
  return typeof data === 'string' || typeof data === 'number' ? `\`${data}\`` : 'none';
}
