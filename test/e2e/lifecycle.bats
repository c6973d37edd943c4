# starting, stopping, reloading and dying

load helper
