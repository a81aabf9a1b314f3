import type { PushRecord } from './push-record.ts';
import { isCounted } from './push-record.ts';

export interface StripeMapping {
  id: string;
  tenant: string;
  customer: string;
  event_name: string;
}

/** A mapping that cannot be billed until somebody decides. */
export interface MappingProblem {
  mapping_id: string;
  detail: string;
}

const isMapped = (push: PushRecord, mappings: readonly StripeMapping[]): boolean =>
  mappings.some(
    (mapping) =>
      mapping.tenant === push.tenant &&
      mapping.customer === push.customer &&
      mapping.event_name === push.meter,
  );

/**
 * Finds mappings that would bill the same usage twice: two that send one tenant to one meter, and one whose tenant has been
 * pushed in this period to a customer and meter that no mapping names any more. Both stop that tenant's pushes, not the others'.
 */
export const findMappingProblems = (
  mappings: readonly StripeMapping[],
  pushed: readonly PushRecord[],
): MappingProblem[] => {
  const problems: MappingProblem[] = [];
  for (const mapping of mappings) {
    const twin = mappings.find(
      (other) =>
        other.id !== mapping.id &&
        other.tenant === mapping.tenant &&
        other.event_name === mapping.event_name,
    );
    if (twin) {
      problems.push({
        mapping_id: mapping.id,
        detail: `Mappings ${mapping.id} and ${twin.id} both send tenant ${mapping.tenant} to meter ${mapping.event_name}, which would bill its usage twice. Delete one of them.`,
      });
      continue;
    }
    const elsewhere = pushed.filter(
      (push) => push.tenant === mapping.tenant && isCounted(push) && !isMapped(push, mappings),
    );
    const held = elsewhere.reduce((sum, push) => sum + push.value, 0n);
    if (held !== 0n) {
      problems.push({
        mapping_id: mapping.id,
        detail: `Tenant ${mapping.tenant} has ${held} micro-USD of this period pushed to customer ${elsewhere[0]?.customer} and meter ${elsewhere[0]?.meter}, which no mapping names any more, and mapping ${mapping.id} now names ${mapping.customer} and ${mapping.event_name}. Map the tenant back until the period ends, or credit the first customer.`,
      });
    }
  }
  return problems;
};
