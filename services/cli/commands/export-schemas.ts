import { z } from 'zod';
import { BudgetSchema, BudgetSignalSchema } from '../../../schemas/budget.ts';
import { ControlRecordSchema } from '../../../schemas/control-record.ts';
import { HouseConfigSchema } from '../../../schemas/house-config.ts';
import { PendingOperationSchema } from '../../../schemas/pending-operation.ts';
import { PriceBookSchema } from '../../../schemas/price-book.ts';
import { ChargeSchema, RatedUsageSchema } from '../../../schemas/rated-usage.ts';
import { StatementLineSchema } from '../../../schemas/statement-line.ts';
import { AttemptRecordSchema, UsageEventSchema } from '../../../schemas/usage-event.ts';

/** Every published contract by file name. */
export const PUBLISHED_SCHEMAS = {
  'attempt-record': AttemptRecordSchema,
  'pending-operation': PendingOperationSchema,
  'usage-event': UsageEventSchema,
  'rated-usage': RatedUsageSchema,
  charge: ChargeSchema,
  budget: BudgetSchema,
  'budget-signal': BudgetSignalSchema,
  'price-book': PriceBookSchema,
  'statement-line': StatementLineSchema,
  'control-record': ControlRecordSchema,
  'house-config': HouseConfigSchema,
} as const;

/** The contracts as JSON Schema 2020-12, one text per file name, as they stand in `schemas/json/`. */
export const exportJsonSchemas = (): Map<string, string> =>
  new Map(
    Object.entries(PUBLISHED_SCHEMAS).map(([name, schema]) => {
      const json = { title: name, ...z.toJSONSchema(schema, { io: 'input' }) };
      return [`${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`];
    }),
  );
