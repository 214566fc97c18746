#include "check.hpp"

int main() {
    eegvlm::checks::layout();
    eegvlm::checks::samples();
    eegvlm::checks::envelope();
    eegvlm::checks::stroke();
    eegvlm::checks::sweep();
    eegvlm::checks::tile();
    return eegvlm::checks::failures == 0 ? 0 : 1;
}
