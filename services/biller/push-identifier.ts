import { createHash } from 'node:crypto';
import type { Instant } from '../../schemas/instant.ts';

/**
 * The name of one push at its destination: the same for the same facts on every machine, another for every revision.
 * The tenant is part of it because two tenants may be billed to one customer. 67 characters; Stripe allows 100.
 */
export const pushIdentifier = (push: {
  account: string;
  meter: string;
  customer: string;
  tenant: string;
  windowStart: Instant;
  revision: number;
}): string => {
  const parts = [
    push.account,
    push.meter,
    push.customer,
    push.tenant,
    push.windowStart,
    push.revision,
  ];
  return `rk_${createHash('sha256').update(JSON.stringify(parts)).digest('hex')}`;
};
