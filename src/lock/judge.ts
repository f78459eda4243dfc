import type { Held, LockRecord, Owner, Seen } from './record.ts';
import { isExpired, type Observation, takeableInMs } from './time.ts';

/** What the state of the lock means for one who wants it. */
export type Verdict =
  /** Nobody has it. `before`: the tip of the chain to go on from. */
  | { is: 'free'; before: Held | null }
  | { is: 'mine'; held: Held }
  /** It may be taken without force. */
  | { is: 'takeable'; event: 'taken-over' | 'handed-over'; held: Held; reason: string }
  | { is: 'held'; held: Held; expired: boolean; takeableInMs: number }
  | { is: 'newer'; commit: string }
  | { is: 'damaged'; commit: string; detail: string };

/** Pure. */
export function judge(seen: Seen, me: Owner, observed: Observation): Verdict {
  if (seen.state === 'none') return { is: 'free', before: null };
  if (seen.state === 'newer') return { is: 'newer', commit: seen.commit };
  if (seen.state === 'damaged') return { is: 'damaged', commit: seen.commit, detail: seen.detail };
  const held: Held = { commit: seen.commit, record: seen.record };
  const { record } = held;
  if (record.state !== 'held') return { is: 'free', before: held };
  if (record.owner.clone === me.clone) return { is: 'mine', held };
  if (samePerson(record, me) && record.idleSince !== null)
    return { is: 'takeable', event: 'handed-over', held, reason: `from ${record.owner.host}, idle and all published` };
  const wait = takeableInMs(record, observed);
  if (wait === 0)
    return { is: 'takeable', event: 'taken-over', held, reason: `the lease of ${record.owner.name} was over` };
  return { is: 'held', held, expired: isExpired(record, observed.now), takeableInMs: wait };
}

const samePerson = ({ owner }: LockRecord, me: Owner): boolean =>
  me.email !== '' && owner.email.toLowerCase() === me.email.toLowerCase();
