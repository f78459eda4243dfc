/** The folder that the user is in. One that is gone (deleted, on a disk that was unplugged) is told by its name. */
export const currentFolder = find();

function find(): string {
  try {
    return process.cwd();
  } catch {
    process.chdir('/'); // whoever asks after us gets an answer
    return process.env['PWD'] ?? '/';
  }
}
