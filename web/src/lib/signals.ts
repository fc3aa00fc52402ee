/** A signal that somebody may send to a process by hand, and what it does. */
export interface Signal {
  number: number
  name: string
  does: string
  /** It may end the process, or keep it from working. */
  harmful: boolean
}

/** Numbers are those of Linux, which kennel's API takes. */
export const SIGNALS: Signal[] = [
  { number: 15, name: 'TERM', does: 'Asks it to end.', harmful: true },
  { number: 2, name: 'INT', does: 'Asks it to end, as Ctrl-C does.', harmful: true },
  { number: 9, name: 'KILL', does: 'Ends it at once. It can put nothing away.', harmful: true },
  { number: 3, name: 'QUIT', does: 'Ends it, mostly with a picture of its memory; a JVM writes what its threads do and goes on.', harmful: true },
  { number: 1, name: 'HUP', does: 'Many daemons read their configuration again. What does not expect it ends.', harmful: true },
  { number: 10, name: 'USR1', does: 'Means what its program makes of it. What does not expect it ends.', harmful: true },
  { number: 12, name: 'USR2', does: 'Means what its program makes of it. What does not expect it ends.', harmful: true },
  { number: 19, name: 'STOP', does: 'It stands still until it gets SIGCONT. Others may wait for it meanwhile.', harmful: true },
  { number: 18, name: 'CONT', does: 'It goes on, if it stands still.', harmful: false },
  { number: 28, name: 'WINCH', does: 'Tells it that its terminal has another size. Most ignore it.', harmful: false },
]
